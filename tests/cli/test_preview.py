"""`tutelage preview`, as it is printed into a pipe."""

import json

import pytest
from support.command_line import CommandLine, contents
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import chatml_tokenizer

TALK = {
    "messages": [
        {"role": "user", "content": "Name a fruit."},
        {"role": "assistant", "content": "A pear."},
        {"role": "user", "content": "另一个？"},
        {"role": "assistant", "content": "梨子 😀."},
    ]
}


@pytest.fixture
def preview(capsys, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)

    def outcome_of(values, *words):
        write_rows(tmp_path / "rows.json", values)
        before = contents(tmp_path)
        outcome = CommandLine(capsys)("preview", "rows.json", *words, "--set", f"model.name_or_path={model}")
        assert contents(tmp_path) == before
        return outcome

    return outcome_of


def test_the_supervised_tokens_are_marked_and_serving_sends_what_stands_before_them(preview):
    out = preview([TALK], "--prompt-template", "chat", "--tree", 0).out
    asked = "<|im_start|>user\nName a fruit.<|im_end|>\n<|im_start|>assistant\n"
    again = "<|im_end|>⟧\n<|im_start|>user\n另一个？<|im_end|>\n<|im_start|>assistant\n"
    assert f"{asked}⟦A pear.{again}⟦梨子 😀.<|im_end|>⟧\n" in out
    assert f"As sent when serving\n{asked}A pear.{again.replace('⟧', '')}" in out
    assert "the same ids as in training)" in out
    assert "supervised in 2 runs" in out


def test_ids_are_listed_with_their_places(preview):
    out = preview([TALK], "--ids", "--tree", 0).out
    tokenizer = chatml_tokenizer()
    listed = [line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0].isdecimal()]
    ids = [int(fingerprint) for line in listed for fingerprint in line[1:] if fingerprint.isdecimal()]
    assert tokenizer.decode(ids).endswith("梨子 😀.<|im_end|>")
    marked = [line for line in listed if line[-1] == "supervised"]
    # Byte-level ids: the tiny vocabulary has learnt no Chinese, so that a character is a line of three ids.
    assert [len([word for word in line[1:] if word.isdecimal()]) for line in marked if "梨" in line] == [3]


def test_the_tree_draws_shared_text_once(preview):
    out = preview(alpaca_values(4), "--tree", 4).out
    drawn = out.split("Prefix tree of 4 rows\n")[1]
    assert drawn.count("<|im_start|>user") == 1
    assert all(f"→ row {row}" in drawn for row in range(4))
    assert "Prefix tree of 2 rows" in preview(alpaca_values(4), "--row", 2).out


def test_a_dropped_row_says_why_and_the_first_kept_one_is_the_default(preview):
    values = [{"instruction": "a", "output": ""}, *alpaca_values(2)]
    assert preview(values, "--row", 0).out == "Row 0, alpaca, dropped: output is empty\n"
    assert preview(values).out.startswith("Row 1, alpaca, kept\n")


def test_a_row_that_is_not_there_is_told(preview):
    outcome = preview(alpaca_values(5), "--row", 7)
    assert (outcome.code, outcome.err) == (
        2,
        "error[data.no_such_row]: rows.json has no row 7. Choose a row from 0 to 4.\n",
    )
    assert "every row was dropped" in preview([{"instruction": "", "output": ""}]).err


def test_nothing_in_a_row_can_drive_the_terminal(preview):
    value = {"instruction": "a\x1b[31m\x9b", "output": "b\u202ec\x07"}
    for words in ([], ["--ids"]):
        out = preview([value], *words).out
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(out)
    assert "\\x1b[31m" in json.dumps(preview([value]).out).replace("\\\\", "\\")


def test_of_a_classification_the_text_the_label_and_the_token_at_the_head_are_shown(preview):
    rows = [{"text": "Win a pear now", "label": "prize"}, {"text": "Win a fig", "label": "talk"}]
    done = preview(rows, "--set", "training.objective=classification", "--tree", 2)
    assert done.code == 0, done.err
    tokenizer = chatml_tokenizer()
    ids = tokenizer.encode(rows[0]["text"], add_special_tokens=False)
    last = tokenizer.decode(ids[-1:])
    assert f"The label is 'prize'. The text has {len(ids)} tokens" in done.out
    assert f"{last!r}, id {ids[-1]}." in " ".join(done.out.split())
    assert f"\n{rows[0]['text'].removesuffix(last)}⟦{last}⟧\n" in done.out
    assert "Below is an instruction" not in done.out
    assert "serving" not in done.out
    assert "→ row 1" in done.out
    assert preview(rows, "--set", "training.objective=classification", "--prompt-template", "chat").code == 2
