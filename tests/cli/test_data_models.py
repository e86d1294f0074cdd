"""`tutelage data generate` and `improve`, against servers on the loopback: a scripted one, and llama.cpp itself."""

import json

import pytest
from support import tiny_gguf
from support.command_line import CommandLine, contents
from support.llama_cpp import llama_cpp
from support.rows import alpaca_values, write_rows
from support.scripted_server import Answer, completion, one_at_a_time, scripted_server
from support.tiny_gguf import write_tiny_gguf

from tutelage.data.synthetic import reflection, self_instruct
from tutelage.data.synthetic.cached_model import object_schema
from tutelage.llm import server_responses

SECRET = "sk-canary-0123456789"


@pytest.fixture
def data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    write_rows(tmp_path / "rows.json", alpaca_values(6))
    return lambda *words: CommandLine(capsys)("data", *words)


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_reply(*subjects):
    rows = [
        {"instruction": f"{one}について、{one}!", "input": "", "output": f"{one}。😀"} for one in subjects
    ]
    return completion(json.dumps({"rows": rows}, ensure_ascii=False), model="fake")


REWRITE = completion('{"reflection": "Terse.", "output": "Spelt out: 拼写。"}', model="fake")


def test_new_rows_are_written_with_where_they_come_from(data, tmp_path):
    with scripted_server(one_at_a_time(rows_reply("茶"), rows_reply("海", "茶"))) as server:
        outcome = data("generate", "rows.json", "new.csv.gz", "--model", f"openai:fake@{server.address}/v1",
                       "--rows", 2)  # fmt: skip
    assert outcome.code == 0
    assert "Requests to openai:fake: 2." in outcome.out
    assert "2 rows written to new.csv.gz" in outcome.out
    assert data("convert", "new.csv.gz", "new.jsonl", "--to", "messages").code == 0
    first, second = lines_of(tmp_path / "new.jsonl")
    assert [turn["content"] for turn in first["messages"]] == ["茶について、茶!", "茶。😀"]
    assert second["made_by"] == "openai:fake"
    assert set(json.loads(first["made_from"])) < set(range(6))
    assert SECRET not in outcome.out + outcome.err
    assert not any(SECRET.encode() in (content or b"") for content in contents(tmp_path).values())


def test_the_same_command_goes_on_where_the_server_failed(data, tmp_path):
    words = [
        "generate",
        "rows.json",
        "new.jsonl",
        "--rows",
        "3",
        "--rows-per-request",
        "1",
        "--max-requests",
        "4",
    ]
    script = one_at_a_time(rows_reply("茶"), rows_reply("海"), Answer(status=400))
    up = [rows_reply("山")]

    def serve(body):
        return up[0] if is_mended else script(body)

    is_mended = False
    with scripted_server(serve) as server:
        words += ["--model", f"openai:fake@{server.address}"]
        outcome = data(*words)
        assert outcome.code == 2
        assert "The 2 responses so far are kept. Run the same command again to resume." in outcome.err
        assert not (tmp_path / "new.jsonl").exists()
        is_mended = True
        asked_before = len(server.requests)
        outcome = data(*words)
        assert outcome.code == 0
        assert len(server.requests) == asked_before + 1
    assert "Requests to openai:fake: 1. Answered from the cache: 2." in outcome.out
    assert [row["output"] for row in lines_of(tmp_path / "new.jsonl")] == ["茶。😀", "海。😀", "山。😀"]
    # All is known now, so that no server is needed.
    assert data(*words, "--overwrite").code == 0


def test_fewer_rows_than_wanted_are_told(data):
    with scripted_server(one_at_a_time(rows_reply("茶"))) as server:
        outcome = data("generate", "rows.json", "new.jsonl", "--model", f"openai:fake@{server.address}",
                       "--rows", 5, "--max-requests", 2)  # fmt: skip
    assert len(server.requests) == 2
    assert "1  near-duplicate of an existing row" in outcome.out
    assert "5 rows were requested." in outcome.out


def test_replies_without_a_row_are_counted_and_nothing_is_written(data, tmp_path):
    with scripted_server(one_at_a_time(completion("Certainly!", model="fake"))) as server:
        outcome = data("generate", "rows.json", "new.jsonl", "--model", f"openai:fake@{server.address}",
                       "--rows", 5, "--max-requests", 2)  # fmt: skip
    assert "2  not a readable row" in outcome.out
    assert outcome.code == 2
    assert "No response of openai:fake held a usable row" in outcome.err
    assert not (tmp_path / "new.jsonl").exists()


def test_rows_are_improved_in_their_own_format_and_the_others_stay(data, tmp_path):
    write_rows(tmp_path / "mixed.json", [
        {"messages": [{"role": "user", "content": "Spell pear."}, {"role": "assistant", "content": "p"}], "id": 4},
        {"text": "Plain."},
        {"question": "Spell fig.", "answer": "f", "context": "Aloud."},
    ])  # fmt: skip
    with scripted_server(one_at_a_time(REWRITE)) as server:
        outcome = data("improve", "mixed.json", "better.jsonl", "--model", f"openai:fake@{server.address}",
                       "--ledger", "ledger.jsonl")  # fmt: skip
    assert outcome.code == 0
    assert "1 row unchanged:" in outcome.out
    talk, text, answer = lines_of(tmp_path / "better.jsonl")
    assert talk["messages"][1]["content"] == answer["answer"] == "Spelt out: 拼写。"
    assert (talk["id"], talk["source_row"], answer["source_row"]) == (4, 0, 2)
    assert answer["context"] == "Aloud."
    assert text == {"source_row": 1, "text": "Plain."}
    assert talk["made_by"] == "openai:fake"
    assert lines_of(tmp_path / "ledger.jsonl") == [
        {
            "row": 1,
            "outcome": "kept",
            "reasons": [{"code": "synthetic.not_improvable", "message": "it has no prompt"}],
        }
    ]


def test_a_dry_run_asks_nothing(data, tmp_path):
    before = contents(tmp_path)
    with scripted_server(one_at_a_time(REWRITE)) as server:
        model = ["--model", f"openai:fake@{server.address}", "--dry-run"]
        assert "would get up to 6 requests" in data("generate", "rows.json", "a.csv", "--rows", 8, *model).out
        assert (
            "would get 4 requests" in data("improve", "rows.json", "a.csv", "--max-requests", 4, *model).out
        )
    assert server.requests == []
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate", "rows.json", "a.csv", "--rows", "0", "--model", "gguf:a"], "--rows is 0"),
        (["generate", "rows.json", "a.csv", "--rows", "1", "--model", "gpt"], "'gpt' is not the name"),
        (["generate", "rows.json", "a.csv", "--rows", "1", "--model", "gguf:a.gguf"], "a.gguf cannot be read"),
        (["generate", "rows.json", "a.csv", "--rows", "1", "--model", "gguf:a", "--temperature", "-1"],
         "--temperature is -1.0, but it must be at least 0"),
        (["generate", "text.json", "a.csv", "--rows", "1", "--model", "gguf:a"], "no row with one question"),
        (["improve", "rows.json", "a.txt", "--model", "gguf:a"], "does not end in a known file type"),
        (["improve", "rows.json", "rows.json", "--model", "gguf:a"], "rows.json already exists."),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_before_anything_is_asked(data, tmp_path, words, said):
    write_rows(tmp_path / "text.json", [{"text": "Plain."}])
    before = contents(tmp_path)
    outcome = data(*words)
    assert outcome.code == 2
    assert said in outcome.err
    assert contents(tmp_path) == before


def test_where_rows_go_is_said_before_they_go(data):
    outcome = data(
        "improve", "rows.json", "a.csv", "--model", "openai:m@https://models.example/v1", "--dry-run"
    )
    assert outcome.out.startswith("Rows are sent to models.example.\n")


def test_a_real_llama_cpp_server_is_asked_and_answers_in_rows(data, tmp_path, monkeypatch):
    # The tiny model writes nonsense without an end; texts of one choice let its replies be whole.
    def of_one_choice(*fields):
        schema = object_schema(*fields)
        return schema | {"properties": {field: {"enum": [f"The {field}: 早."]} for field in fields}}

    monkeypatch.setattr(
        tiny_gguf, "CONTEXT", 2048
    )  # a question with its examples is longer than the usual one
    monkeypatch.setattr(self_instruct, "object_schema", of_one_choice)
    monkeypatch.setattr(reflection, "object_schema", of_one_choice)
    monkeypatch.setattr(self_instruct, "schema", lambda rows: {
        "type": "object", "required": ["rows"], "additionalProperties": False,
        "properties": {"rows": {"type": "array", "items": of_one_choice(*self_instruct.FIELDS), "minItems": 1,
                                "maxItems": 1}},
    })  # fmt: skip
    with llama_cpp(write_tiny_gguf(tmp_path / "tiny.gguf"), context=2048) as server:
        words = ["--model", f"openai:tiny@{server.address}/v1", "--max-tokens", "600"]
        made = data("generate", "rows.json", "new.jsonl", "--rows", 2, "--rows-per-request", 1,
                    "--max-requests", 2, *words)  # fmt: skip
        better = data("improve", "rows.json", "better.jsonl", "--max-requests", 2, *words)
    assert "Requests to openai:tiny: 2." in made.out
    (row,) = lines_of(tmp_path / "new.jsonl")
    assert [row["instruction"], row["output"]] == ["The instruction: 早.", "The output: 早."]
    assert "1  near-duplicate of an existing row" in made.out
    assert "Requests to openai:tiny: 2." in better.out
    rows = lines_of(tmp_path / "better.jsonl")
    assert [row["output"] == "The output: 早." for row in rows] == [True, True, False, False, False, False]
