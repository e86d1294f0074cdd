"""The input catalogue: a file for each way in which data go wrong, and what `tutelage check` has to say of it."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from support.command_line import CommandLine, contents
from support.rows import alpaca_values, csv_of, parquet_of
from support.tiny_tokenizer import write_tiny_model

from tutelage.data.quality.rules import RULES

GOOD = {"instruction": "Name a fruit.", "input": "", "output": "A pear."}
CHAT = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello there."}]}
OTHERS = alpaca_values(60)  # so that no split is empty
FAULT = "fault"


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def among(*rows):
    """Put rows first in a file of good ones."""
    return lines(*rows, *OTHERS)


def good(**changed):
    return {**GOOD, **changed}


def talk(*roles_and_texts):
    return {"messages": [{"role": role, "content": text} for role, text in roles_and_texts]}


ARRAY = json.dumps(OTHERS).encode()
UNSEEN = ("\x1b[31m", "\x07", "\x85", "\u202e", "\u2066", "\u200b", "\ufeff", "\U000e0041")
CONTROLS = ("<|im_end|>", "</s>", "<s>", "[INST]", "<|endoftext|>", "<|eot_id|>")
NO_ROWS = (b"", b" \n\t\r\n", b"[]", b"[ \n ]", b'{"data": []}', b"\xef\xbb\xbf", b"instruction,output\n")
ALIKE = [good(instruction=f"Convert {grams} grams of flour to pounds.") for grams in (1000, 100)]
CUT = "A long answer begins with a sentence. And then it goes on for quite some while, until in the middle of"
PLENTY = {**GOOD, "output": "x" * (2**20 + 10)}
NESTED = b'[{"instruction": ' + b"[" * 20_000 + b"]" * 20_000 + b"}]"

# (rule, bytes, outcome, row): the outcome of that row (None: of the source), or the fault that stops everything.
CASES = [
    # 1 malformed JSON: stop, with the number of whole rows before
    (1, b'[\n {"instruction": "a", "output": "b"},\n]', FAULT, 1),
    (1, b'[{"instruction": "a", "output": "b"} {"instruction": "a"}]', FAULT, 1),
    (1, ARRAY[:-1], FAULT, 60),
    (1, ARRAY[: len(ARRAY) // 2], FAULT, 30),
    (1, ARRAY[:1], FAULT, 0),
    (1, lines(*OTHERS)[:-4], FAULT, 59),
    (1, b'{"instruction": "a", "output": b}\n', FAULT, 0),
    (1, b"{'instruction': 'a'}\n", FAULT, 0),
    (1, b'[{"instruction": "a\nb"}]', FAULT, 0),
    (1, b'[{"instruction": "\\x"}]', FAULT, 0),
    (1, b'{"instruction": "a"} {"instruction": "b"}\n', FAULT, 1),
    (1, b'[{"instruction": "a"}]]', FAULT, 1),
    (1, b'[{"instruction": "a"}]\n[{"instruction": "b"}]', FAULT, 1),
    (1, b'[{"instruction" "a"}]', FAULT, 0),
    (1, b"[tru", FAULT, 0),
    (1, gzip.compress(ARRAY)[:-20], FAULT, None),
    (1, b"\x1f\x8b and no gzip", FAULT, None),
    # 2 whatever it is, the content decides
    (2, ARRAY, "kept", 0),
    (2, lines(*OTHERS), "kept", 0),
    (2, json.dumps({"data": OTHERS}).encode(), "kept", 0),
    (2, json.dumps(OTHERS, indent=3).encode(), "kept", 0),
    (2, b"\n\n " + lines(*OTHERS).replace(b"\n", b"\r\n\r\n"), "kept", 0),
    (2, gzip.compress(ARRAY), "kept", 0),
    (2, gzip.compress(lines(*OTHERS)), "kept", 0),
    (2, b"one,two\na,b\n", FAULT, None),
    (2, b"instruction,answered\na,b\n", FAULT, None),
    (2, b'"a text"', FAULT, None),
    (2, b"42", FAULT, None),
    (2, b"instruction: a\noutput: b\n", FAULT, None),
    # 3 byte-order mark: read, and said
    (3, b"\xef\xbb\xbf" + ARRAY, "kept", None),
    (3, b"\xef\xbb\xbf" + lines(*OTHERS), "kept", None),
    (3, b"\xef\xbb\xbf" + csv_of(OTHERS), "kept", None),
    (3, gzip.compress(b"\xef\xbb\xbf" + ARRAY), "kept", None),
    # 4 encodings: UTF-16 with its mark is read, anything else than UTF-8 stops
    (4, json.dumps(OTHERS).encode("utf-16"), "kept", None),
    (4, b"\xfe\xff" + json.dumps(OTHERS).encode("utf-16-be"), "kept", None),
    (4, json.dumps(OTHERS).encode("utf-16")[:-1], FAULT, None),
    (4, '[{"instruction": "café"}]'.encode("latin-1"), FAULT, None),
    (4, '[{"instruction": "请把"}]'.encode("gb18030"), FAULT, None),
    (4, '{"instruction": "写"}\n'.encode("shift-jis"), FAULT, None),
    (4, ARRAY + b"\xff", FAULT, None),
    (4, "instruction,output\nné,b\n".encode("latin-1"), FAULT, None),
    (4, ARRAY[:100] + b"\xc3\x28" + ARRAY[100:], FAULT, None),
    # 5 what Python reads and JSON forbids, and what would break the reader
    (5, b'[{"instruction": NaN}]', FAULT, 0),
    (5, lines(GOOD) + b'{"a": Infinity}\n', FAULT, 1),
    (5, b'[{"a": -Infinity}]', FAULT, 0),
    (5, b'[{"output": "a", "output": "b"}]', FAULT, 0),
    (5, lines(GOOD, GOOD) + b'{"a": {"b": 1, "b": 2}}\n', FAULT, 2),
    (5, NESTED, FAULT, 0),
    (5, b'{"a": ' * 20_000, FAULT, 0),
    (5, b'[{"a": ' + b"9" * 100_000 + b"}]", FAULT, 0),
    # 6 missing fields: stop; turns that nothing can be learnt from: dropped or repaired
    (6, among({"instruction": "a"}), FAULT, 0),
    (6, lines(*OTHERS, {"instruction": "a", "ouput": "b"}), FAULT, 60),
    (6, lines({}), FAULT, 0),
    (6, lines({"ask": "a", "reply": "b"}), FAULT, 0),
    (6, among({"messages": []}), "dropped", 0),
    (6, among(talk(("user", "a"))), "dropped", 0),
    (6, among(talk(("assistant", "a"))), "dropped", 0),
    (6, among(talk(("system", "a"), ("assistant", "b"))), "dropped", 0),
    (6, among({"messages": [*CHAT["messages"][:1], {**CHAT["messages"][1], "weight": 0}]}), "dropped", 0),
    (6, among(talk(("user", "a"), ("assistant", "b"), ("user", "c"))), "repaired", 0),
    (6, among(talk(("user", "a"), ("assistant", "b"), ("tool", "c"), ("user", "d"))), "repaired", 0),
    # 7 wrong types: stop
    *[(7, among(good(output=value)), FAULT, 0) for value in (5, 1.5, True, False, 0, ["a"], [], {"a": 1}, {})],
    (7, among(good(instruction=["a"])), FAULT, 0),
    (7, among(good(input=7)), FAULT, 0),
    (7, lines(*OTHERS, "text"), FAULT, 60),
    (7, lines(*OTHERS, 42), FAULT, 60),
    (7, lines(*OTHERS, None), FAULT, 60),
    (7, lines(*OTHERS, ["a"]), FAULT, 60),
    (7, among({"messages": "a"}), FAULT, 0),
    (7, among({"messages": [{"role": "robot", "content": "a"}]}), FAULT, 0),
    (7, among({"messages": [{"role": "user", "content": 3}]}), FAULT, 0),
    (7, among(good(history=[["a"]])), FAULT, 0),
    (7, among({"chosen": "a", "rejected": "b"}), FAULT, 0),
    (7, among({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}), FAULT, 0),
    (7, parquet_of([{"instruction": "a", "output": 3}]), FAULT, 0),
    (7, among(good(output=["a", "b", "c"])), FAULT, 0),
    # 7 too, but kept and said: a text that holds messages
    *[(7, among(good(output=text)), "kept", 0) for text in (json.dumps(CHAT["messages"]), str(CHAT["messages"]))],
    # 8 null: an input is empty, a needed field drops the row
    (8, among(good(input=None)), "kept", 0),
    (8, among(good(instruction=None)), "dropped", 0),
    (8, among(good(output=None)), "dropped", 0),
    (8, parquet_of([{**row, "input": row["input"] or None} for row in OTHERS]), "kept", 1),
    # 9 empty: dropped
    *[(9, among(good(output=blank)), "dropped", 0) for blank in ("", " ", "\n\t", "\u3000", "\x00")],
    (9, among(good(instruction="")), "dropped", 0),
    (9, among(talk(("user", "a"), ("assistant", ""))), "dropped", 0),
    (9, among(talk(("user", "a"), ("assistant", "b"), ("user", " "), ("assistant", "d"))), "dropped", 0),
    (9, among({"text": ""}), "dropped", 0),
    (9, among({"text": "a", "label": None}), "dropped", 0),
    # 10 exact duplicates: the first is kept
    (10, among(GOOD, GOOD), "dropped", 1),
    (10, lines(GOOD, *OTHERS, GOOD), "dropped", 61),
    (10, among(good(output="a\nb"), good(output="a\r\nb")), "dropped", 1),
    (10, among(CHAT, CHAT), "dropped", 1),
    (10, among(GOOD, {"prompt": "Name a fruit.", "completion": "A pear."}), "dropped", 1),
    # 11 the same prompt with another answer: kept, and said
    (11, among(GOOD, good(output="A plum.")), "kept", 1),
    (11, among(good(input="red"), good(input="red", output="A cherry.")), "kept", 1),
    (11, among(CHAT, talk(("user", "Hi."), ("assistant", "Good day."))), "kept", 1),
    # 12 leaks of a split by position
    (12, lines(GOOD, *OTHERS, good(output="A plum.")), "kept", 61),
    (12, lines(GOOD, *OTHERS, good(instruction="NAME a fruit!")), "kept", 61),
    # 13 near-duplicates: kept, and listed
    (13, among(*ALIKE), "kept", 1),
    (13, among(GOOD, good(instruction="name a fruit")), "kept", 1),
    # 14 enormous rows and files
    (14, among(PLENTY), "dropped", 0),
    (14, json.dumps([*OTHERS, PLENTY]).encode(), "dropped", 60),
    (14, gzip.compress(b" " * (30 * 2**20)), FAULT, None),
    # 15 longer than the model's context
    (15, among(good(output="word " * 600)), "kept", 0),
    (15, among(good(input="word " * 600)), "kept", 0),
    (15, among(talk(*[("user", "word " * 60), ("assistant", "word " * 60)] * 5)), "kept", 0),
    # 16 answers that seem cut off
    (16, among(good(output=CUT)), "kept", 0),
    (16, among(good(output="```python\nprint(1)\n")), "kept", 0),
    # 17 control and unseen characters: NUL is taken out, the rest stays and is said
    (17, among(good(output="nul\x00")), "repaired", 0),
    *[(17, among(good(output=f"a{sign}b")), "kept", 0) for sign in UNSEEN],
    # 18 lone surrogates become U+FFFD
    (18, among(good(output="half \ud800")), "repaired", 0),
    (18, among(good(instruction="\udfff half")), "repaired", 0),
    (18, among(talk(("user", "a"), ("assistant", "\ud83d"))), "repaired", 0),
    # 19 line ends are made one kind, the Unicode form is left
    (19, among(good(output="one\r\ntwo")), "repaired", 0),
    (19, among(good(input="one\r\ntwo\r\n")), "repaired", 0),
    (19, among(good(output="cafe\u0301")), "kept", 0),
    # 20 control tokens in text stay text
    *[(20, among(good(output=f"say {token} now")), "kept", 0) for token in CONTROLS],
    # 21 headings of a style
    (21, among(good(output="### Response:\nx")), "kept", 0),
    (21, among(good(instruction="a\n\n### Instruction:\nb")), "kept", 0),
    (21, among(talk(("user", "### Input:\nb"), ("assistant", "c"))), "kept", 0),
    # 22 several formats: accepted if each row has exactly one
    (22, among(CHAT), "kept", None),
    (22, among(CHAT, {"text": "Some text."}, {"question": "Who?", "answer": "I."}), "kept", None),
    (22, among({**GOOD, **CHAT}), FAULT, 0),
    (22, lines(*OTHERS, {"prompt": "a", "completion": "b", "text": "c"}), FAULT, 60),
    # 22 too: answers that a label calls unwanted are of a format that no objective trains on
    (22, among({**CHAT, "label": True}, {**GOOD, "instruction": "Name a tool.", "label": False}), FAULT, 1),
    (22, among({**CHAT, "kto_tag": "false"}), FAULT, 0),
    # 23 fields that nothing reads
    (23, among(good(id=7)), "kept", None),
    (23, among(good(inptu="x")), "kept", None),
    # 24 no rows
    *[(24, content, FAULT, None) for content in NO_ROWS],
    (24, gzip.compress(b""), FAULT, None),
    # 25 few rows
    (25, lines(GOOD), "kept", None),
    (25, lines(GOOD, good(instruction="Name a tree.")), "kept", None),
    # 26 low variety
    (26, lines(*[GOOD] * 50, *OTHERS[:20]), "kept", None),
    (26, lines(*[{**row, "output": "Yes."} for row in OTHERS]), "kept", None),
    # 29 a page in place of the data
    (29, b"<!DOCTYPE html><html>404</html>", FAULT, None),
    (29, b"\n <html lang='en'>", FAULT, None),
    (29, b'<?xml version="1.0"?><rows/>', FAULT, None),
    (29, gzip.compress(b"<html>"), FAULT, None),
    # 30 tables, and what is no table
    (30, b"PK\x03\x04 a sheet", FAULT, None),
    (30, b"PAR1 and nothing more", FAULT, None),
    (30, b"instruction,output\na,b\nc\n", FAULT, 1),
    (30, b'instruction,output\na,"b\n', FAULT, 0),
    (30, b"instruction,output,output\na,b,c\n", FAULT, None),
    (30, parquet_of(OTHERS)[:-9], FAULT, None),
    # 31 answers that begin with their prompt
    (32, among(good(output="Name a fruit. A pear.")), "kept", 0),
    (32, among({"prompt": "Question: Who?\nAnswer:", "completion": "Question: Who?\nAnswer: I."}), "kept", 0),
]  # fmt: skip
SECRETS = {
    "a private key": "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIE",
    "an AWS access key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "an API key": "sk-" + "a1B2c3D4e5F6g7H8i9J0",
    "a GitHub token": "ghp_" + "a" * 36,
    "a Hugging Face token": "hf_" + "b" * 34,
    "a Slack token": "xoxb-" + "1234567890-abc",
    "a Google API key": "AIza" + "c" * 35,
    "a web token": "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0In0" + ".abc",
    "a password in an address": "postgres://" + "user:hunter2@db.example/x",
    "an e-mail address": "someone@" + "mail.example.org",
}
CASES += [(28, among(good(output=f"It is {secret} .")), "kept", 0) for secret in SECRETS.values()]
# 2, 27 and 30 accept: nothing is found in markup, code, any script, or a table of another kind.
ACCEPTED = [
    *[
        "<b>bold</b> &amp; <script>alert(1)</script>",
        "# Title\n\n- *item*\n\n| a | b |",
        "def f(x):\n\treturn x\n",
    ],
    *["مرحبا بالعالم", "שלום עולם", "你好，世界。", "日本語のテスト", "한국어", "👩‍👩‍👧‍👦 🙂 🏳️‍🌈", "Ünïcödé"],
]
CASES += [(27, among(good(output=text)), "kept", 0) for text in ACCEPTED]
CASES += [
    (30, csv_of(OTHERS), "kept", 0),
    (30, csv_of(OTHERS).replace(b",", b"\t"), "kept", 0),
    (30, parquet_of(OTHERS), "kept", 0),
    (30, gzip.compress(parquet_of(OTHERS)), "kept", 0),
    (30, lines(*[dict(reversed(row.items())) for row in OTHERS]), "kept", 0),
    # 5, 7, 8 of Parquet: an infinity and bytes stop, NaN is empty
    (5, parquet_of([{"text": "a", "label": 1.0}, {"text": "b", "label": float("inf")}]), FAULT, 1),
    (7, parquet_of([{"text": "a", "label": b"b"}]), FAULT, 0),
    (8, parquet_of([{"text": "a", "label": 1.0}, {"text": "b", "label": float("nan")}]), "dropped", 1),
    # 31 labels: blanks around them are removed; those that read alike are said
    (31, among({"text": "a", "label": "b "}), "repaired", 0),
    (31, among({"text": "a", "label": "\u200bb\xa0"}), "repaired", 0),
    (31, among({"text": "a", "label": "b"}, {"text": "c", "label": "B"}), "kept", 1),
    (31, among({"text": "a", "label": "b c"}, {"text": "c", "label": "b  c"}), "kept", 1),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", context=512)


@pytest.fixture
def check(capsys, tmp_path, monkeypatch, model):
    """Write a file, check it, and return the exit code and what `--json` says; not a byte on disk is changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def outcome_of(content, *words):
        Path("rows").write_bytes(content)
        before = contents(tmp_path)
        outcome = CommandLine(capsys)(
            "check", "rows", "--json", *words, "--set", f"model.name_or_path={model}"
        )
        assert contents(tmp_path) == before
        assert outcome.err == ""
        assert "Traceback" not in outcome.out
        return outcome.code, json.loads(outcome.out)

    return outcome_of


@pytest.mark.parametrize(
    ("rule", "content", "outcome", "row"),
    CASES,
    ids=[f"{case[0]}-{place}" for place, case in enumerate(CASES)],
)
def test_each_file_has_its_documented_outcome_rule_and_row(check, rule, content, outcome, row):
    code, said = check(content)
    assert code == (2 if outcome == FAULT else 0)
    assert list(said) == [
        "rows", "kept", "repaired", "dropped", "format", "repeated_prompts", "leaks", "near_duplicates", "findings"
    ]  # fmt: skip
    assert said["rows"] == said["kept"] + said["repaired"] + said["dropped"]
    found = [(finding["rule"], finding["row"]) for finding in said["findings"]]
    assert all(list(finding) == ["code", "rule", "row", "message"] for finding in said["findings"])
    if outcome == FAULT:
        assert found == [(rule, row)]
        assert said["findings"][0]["message"].startswith("rows")
        return
    told = (
        rule,
        row,
    ) in found  # what is accepted without a word is not found: kinds of files, markup, scripts
    assert told == (rule not in {2, 27, 30}), found
    assert (said["repaired"] > 0) == (outcome == "repaired")
    if outcome == "dropped":
        assert said["dropped"] > 0
        assert any(
            finding["row"] == row and "dropped: " in finding["message"] for finding in said["findings"]
        )
    elif rule not in (10, 26):
        assert said["dropped"] == 0


def test_there_are_enough_files_and_every_rule_has_some():
    counts = Counter(case[0] for case in CASES)
    assert len(CASES) >= 120
    assert set(counts) == set(RULES)


def test_clean_data_have_no_findings_and_pass_the_strict_check(check):
    code, said = check(lines(*distinct_rows()), "--strict")
    assert (code, said["findings"], said["rows"]) == (0, [], 60)


def distinct_rows():
    words = [f"{chr(97 + n % 26)}{chr(97 + n * 7 % 26)}{chr(97 + n * 11 % 26)}{n}" for n in range(60)]
    return [
        {"instruction": f"{word} {word[::-1]}", "input": "", "output": f"Answer {word}."} for word in words
    ]


def test_warnings_leave_with_1_only_when_the_check_is_strict_and_notes_never(check):
    rows = distinct_rows()
    warned = lines(*rows, {**rows[0], "output": "Other."})
    assert check(warned)[0] == 0
    assert check(warned, "--strict")[0] == 1
    assert check(b"\xef\xbb\xbf" + lines(*rows), "--strict")[0] == 0
    assert check(b"[", "--strict")[0] == 2


@pytest.mark.parametrize(("name", "secret"), SECRETS.items())
def test_a_secret_is_named_by_its_row_and_never_repeated(check, name, secret):
    said = check(among(GOOD, good(output=f"Use {secret} for it.")))[1]
    found = {"code": "data.secret", "rule": 28, "row": 1, "message": f"contains what looks like {name}"}
    assert found in said["findings"]
    assert secret not in json.dumps(said)


def test_rules_are_documented_by_their_numbers_and_names():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "data-rules.md").read_text(encoding="utf-8")
    for rule, name in RULES.items():
        assert f"| {rule} | {name} |" in page
