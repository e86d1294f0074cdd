"""What a program gets: the same run as the command line makes, models that can be asked, and a process left alone."""

import asyncio
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from support.command_line import CommandLine
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

import tutelage
from tutelage import api
from tutelage.errors import DataError, LanguageModelError, RecipeError, RunFolderError
from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines
from tutelage.run.lock import locked
from tutelage.stages.python_words import in_python

DOCS = Path(__file__).parents[1] / "docs" / "guide"
QUICK = {
    "max_steps": 4,
    "eval_steps": 2,
    "dtype": "float32",
    "r": 2,
    "limit": 4,
    "max_new_tokens": 8,
    "general_text": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def place(tmp_path, monkeypatch, model):
    """A folder to work in, with rows in my.json; a tiny model and few steps stand for the defaults."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_rows(tmp_path / "my.json", alpaca_values(80))
    made = api.finetune
    quick = {"name_or_path": str(model), **QUICK}
    monkeypatch.setattr(api, "finetune", lambda data, **given: made(data, **{**quick, **given}))
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory, model):
    """A run that is only read."""
    root = tmp_path_factory.mktemp("run")
    data = write_rows(root / "my.json", alpaca_values(80))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTELAGE_CACHE", str(root / "cache"))
        return tutelage.finetune(data, output=root / "mine", name_or_path=str(model), **QUICK)


def test_the_package_imports_nothing_that_takes_time():
    script = "import sys, tutelage; print([name for name in ('torch', 'pydantic', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert tutelage.__all__ == ["Run", "__version__", "compare", "errors", "events", "finetune"]
    assert [*map(callable, (tutelage.Run, tutelage.compare, tutelage.finetune))] == [True] * 3
    with pytest.raises(AttributeError, match="finetuned"):
        tutelage.finetuned  # noqa: B018 - the access is what raises


def without_times(root):
    """Return the contents of a run but for what tells the time, and what is made from that."""
    untimed = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and path.name not in ("events.jsonl", "report.html", "manifest.json", "state.json"):
            content = path.read_bytes()
            if path.suffix == ".json":
                content = re.sub(
                    rb'"(seconds|ended|examples_per_second|peak_memory_bytes)": [^\n,]+', b"", content
                )
            untimed[name] = content
    return untimed


def test_a_program_writes_the_files_of_the_command_line(place, model, capsys):
    run = tutelage.finetune("my.json", output="by-program", learning_rate=3e-4)
    settings = {
        "training.max_steps": 4,
        "training.eval_steps": 2,
        "training.dtype": "float32",
        "adapter.r": 2,
        "evaluation.limit": 4,
        "evaluation.max_new_tokens": 8,
        "evaluation.general_text": "false",
        "model.name_or_path": model,
        "training.learning_rate": "3e-4",
    }
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    assert capsys.readouterr() == ("", "")
    ended = CommandLine(capsys)("run", "--data", "my.json", "--output", "by-command", *given)
    assert ended.code == 0, ended.err
    program, command = without_times(run.folder), without_times(place / "by-command")
    assert [name for name in {*program, *command} if program.get(name) != command.get(name)] == []
    assert (run.folder / "report.html").exists()


def test_what_came_of_a_run_can_be_read_by_name(run):
    summary = json.loads((run.folder / "summary.json").read_text())
    assert run.verdict == summary["evaluation"]["verdict"]
    chrf = run.metrics["chrf"]
    assert chrf.difference == summary["evaluation"]["metrics"]["chrf"]["difference"]
    assert chrf.low <= chrf.difference <= chrf.high
    assert (run.preparation.rows.train, run.training.steps) == (summary["rows"]["train"], 4)
    assert run.recipe.training.max_steps == 4
    assert repr(run) == f"Run({str(run.folder)!r})"
    assert repr(tutelage.Run(run.folder, step=2)) == f"Run({str(run.folder)!r}, step=2)"


def test_what_is_not_there_is_named_with_the_command_that_makes_it(tmp_path, run):
    with pytest.raises(RunFolderError) as refused:
        tutelage.Run(tmp_path)
    assert refused.value.code == "run.no_recipe"
    with pytest.raises(RunFolderError) as refused:
        run.load(step=77)
    assert refused.value.code == "run.no_such_checkpoint"


def test_a_finished_run_is_refused_and_kept(place):
    run = tutelage.finetune("my.json", output="mine")
    before = without_times(run.folder)
    with pytest.raises(RunFolderError) as refused:
        tutelage.finetune("my.json", output="mine")
    assert refused.value.code == "run.exists"
    assert without_times(run.folder) == before
    tutelage.finetune("my.json", output="mine", overwrite=True)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"learning_rat": 1e-3}, "settings.unknown"),
        ({"learning_rate": "fast"}, "settings.invalid_value"),
        ({"zero_shot": True}, "settings.inactive"),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_refused_before_anything_is_written(place, settings, code):
    with pytest.raises(RecipeError) as refused:
        tutelage.finetune("my.json", output="mine", **settings)
    assert refused.value.code == code
    assert not (place / "mine").exists()


def test_rows_may_be_dicts_or_a_data_set_and_a_row_that_is_neither_is_named(place):
    from datasets import Dataset

    rows = alpaca_values(60)
    from_dicts = tutelage.finetune(iter(rows), output="dicts")
    from_data_set = tutelage.finetune(Dataset.from_list(rows), output="data-set")
    assert from_dicts.preparation.rows == from_data_set.preparation.rows
    assert from_dicts.preparation.rows.kept == 60
    [kept] = from_dicts.folder.glob("rows-*.jsonl")
    assert read_json_lines(kept) == rows
    for wrong, code in (("text", "data.row_not_object"), ({"instruction": {1, 2}}, "data.row_not_json")):
        with pytest.raises(DataError) as refused:
            tutelage.finetune([*rows, wrong], output="wrong")
        assert (refused.value.code, refused.value.row) == (code, 60)
        assert not (place / "wrong").exists()
    with pytest.raises(RunFolderError) as refused:
        tutelage.finetune(rows)
    assert refused.value.code == "run.not_named"


def test_a_model_answers_as_the_command_does_and_a_stream_is_the_same_in_pieces(run, capsys):
    asked = "Name a fruit."
    model = run.load()
    answer = model.generate(asked)
    assert CommandLine(capsys)("generate", run.folder, asked).out == answer + "\n"
    assert "".join(model.stream(asked)) == answer
    drawn = {"temperature": 5.0, "seed": 3}
    assert "".join(model.stream(asked, **drawn)) == model.generate(asked, **drawn) != answer
    assert model.generate([{"role": "user", "content": asked}]) == answer
    assert len(model.generate(asked, max_new_tokens=2)) < len(answer)
    with pytest.raises(DataError) as refused:
        model.generate([{"role": "nobody", "content": asked}])
    assert refused.value.code == "generate.message_malformed"
    with pytest.raises(DataError) as refused:
        model.generate(asked, max_new_tokens=10_000)
    assert refused.value.code == "generate.prompt_too_long"


@pytest.mark.parametrize("which", ["base", "tuned"])
def test_log_probs_are_those_that_the_evaluation_found(run, which):
    model = run.load(which)
    for answer in read_json_lines(run.folder / "evaluation" / f"{which}.jsonl"):
        row = alpaca_values(80)[answer["row"]]
        found = model.log_probs(row["instruction"], row["output"], input=row.get("input", ""))
        assert sum(found) == pytest.approx(answer["reference_log_prob"], abs=1e-4)
        assert all(one < 0 for one in found)


def test_a_checkpoint_can_be_asked(run):
    steps = sorted(int(path.name[5:]) for path in (run.folder / "checkpoints").iterdir())
    kept = run.training.best_step
    assert run.load(step=kept).log_probs("Name a fruit.", "pear") == run.load().log_probs(
        "Name a fruit.", "pear"
    )
    assert kept in steps


def test_a_listener_hears_all_and_cannot_stop_a_run(place):
    heard = []

    def failing(event):
        heard.append(event)
        if isinstance(event, tutelage.events.StepTaken):
            raise ValueError("no more")

    with pytest.warns(RuntimeWarning, match="no more"):
        run = tutelage.finetune("my.json", output="mine", listener=failing)
    assert [event.step for event in heard if isinstance(event, tutelage.events.StepTaken)] == [1]
    assert run.training.steps == 4


def test_the_process_is_left_as_it_was(place):
    torch.set_num_threads(2)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    run = tutelage.finetune("my.json", output="mine")
    run.load()
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_num_threads(1)


def weights(run):
    return (run.folder / "model" / "adapter_model.safetensors").read_bytes()


def global_state():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    return states, signal.getsignal(signal.SIGINT), torch.get_num_threads(), dict(os.environ)


def made_in_another_process(model, data, output):
    before = global_state()
    tutelage.finetune(data, output=output, name_or_path=str(model), **QUICK)
    assert global_state() == before  # what is imported meanwhile draws from Python's generator


def test_trainings_in_two_threads_are_those_of_one(place):
    settings = {"lora_dropout": 0.3, "max_steps": 2}  # dropout draws from a global generator
    alone = tutelage.finetune("my.json", output="alone", **settings)
    before = global_state()
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda name: tutelage.finetune("my.json", output=name, **settings), "ab"))
    assert [weights(one) == weights(alone) for one in both] == [True, True]
    assert global_state() == before


def test_it_works_twice_in_a_thread_in_an_event_loop_and_in_a_spawned_process(place, model):
    first = tutelage.finetune("my.json", output="first")
    with ThreadPoolExecutor(1) as pool:
        in_thread = pool.submit(tutelage.finetune, "my.json", output="in-thread").result()

    async def in_loop():
        return tutelage.finetune("my.json", output="in-loop")

    others = [in_thread, asyncio.run(in_loop())]
    child = multiprocessing.get_context("spawn").Process(
        target=made_in_another_process, args=(model, str(place / "my.json"), str(place / "spawned"))
    )
    child.start()
    child.join(120)
    assert child.exitcode == 0
    others.append(tutelage.Run("spawned"))
    assert [weights(other) == weights(first) for other in others] == [True] * 3


def test_runs_are_compared_with_the_first(place):
    first = tutelage.finetune("my.json", output="first")
    tutelage.finetune("my.json", output="second", learning_rate=2e-3)
    compared = tutelage.compare(first, "second")
    assert [Path(group.runs[0].name).name for group in compared.groups] == ["first", "second"]
    assert compared.groups[1].differs == ("training.learning_rate (was 0.0005, now 0.002)",)
    assert compared.groups[1].comparison.verdict.word in (
        "better",
        "worse",
        "no difference detectable",
        "no verdict",
    )


def code_of_the_guide(language):
    text = (DOCS / language / "python.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.S)


@pytest.mark.usefixtures("few_prompts", "in_this_process")
def test_the_code_of_the_guide_runs(place, capsys):
    blocks = code_of_the_guide("")
    assert len(blocks) == 7
    assert code_of_the_guide("zh-CN") == blocks
    names = {}
    for block in blocks:
        quick = re.sub(r"max_steps=\d+", "max_steps=4", block)
        exec(compile(quick, "python.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] in ("better", "worse", "no difference detectable", "no verdict")
    assert (place / "runs" / "mine" / "export" / "peft" / "adapter_model.safetensors").exists()


def test_what_a_later_stage_would_refuse_is_refused_at_once(place):
    with pytest.raises(LanguageModelError) as refused:
        tutelage.finetune("my.json", output="mine", judges=["gguf:none.gguf"])
    assert refused.value.code == "llm.unreadable"
    assert not (place / "mine").exists()


def test_a_folder_of_other_things_is_left_alone(place):
    (place / "other").mkdir()
    (place / "other" / "events.jsonl").write_text('{"event": "birthday"}\n')
    for data in ("my.json", alpaca_values(60)):
        with pytest.raises(RunFolderError) as refused:
            tutelage.finetune(data, output="other")
        assert refused.value.code == "run.folder_not_empty"
    assert {path.name: path.read_text() for path in (place / "other").iterdir()} == {
        "events.jsonl": '{"event": "birthday"}\n'
    }


def test_rows_that_a_run_does_not_name_are_not_kept(place):
    run = tutelage.finetune(alpaca_values(60), output="mine")
    [first] = run.folder.glob("rows-*.jsonl")
    with pytest.raises(RunFolderError):
        tutelage.finetune(alpaca_values(70), output="mine")
    assert [*run.folder.glob("rows-*.jsonl")] == [first]
    tutelage.finetune(alpaca_values(70), output="mine", overwrite=True)
    [second] = run.folder.glob("rows-*.jsonl")
    assert second != first
    with pytest.raises(RecipeError):
        tutelage.finetune(alpaca_values(60), output="deep/in/there", learning_rate="fast")
    assert not (place / "deep").exists()


def test_a_listener_cannot_stop_a_run_where_warnings_are_errors(place):
    def failing(event):
        raise ValueError("no more")

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert tutelage.finetune("my.json", output="mine", listener=failing).training.steps == 4


def test_a_checkpoint_is_not_exported_as_the_run(run):
    with pytest.raises(RunFolderError) as refused:
        tutelage.Run(run.folder, step=run.training.best_step).export("peft")
    assert refused.value.code == "export.of_checkpoint"
    assert not (run.folder / "export").exists()


def test_a_stream_refuses_before_its_first_piece(run):
    model = run.load()
    for words, code in (
        ({"prompt": "Name a fruit.", "max_new_tokens": 0}, "cli.value_out_of_range"),
        ({"prompt": " "}, "generate.no_instruction"),
        ({"prompt": []}, "generate.no_instruction"),
        ({"prompt": [{"role": "user", "content": "a"}], "input": "b"}, "generate.message_malformed"),
    ):
        with pytest.raises((DataError, RecipeError)) as refused:
            model.stream(**words)
        assert refused.value.code == code
    with pytest.raises(DataError) as refused:
        model.log_probs("Name a fruit.", "pear " * 500)
    assert refused.value.code == "generate.prompt_too_long"


def test_a_call_that_finds_the_run_locked_leaves_the_rows_of_the_other(place):
    rows, root = alpaca_values(60), place / "mine"
    with locked(RunFolder(root)), pytest.raises(RunFolderError) as refused:
        tutelage.finetune(rows, output=root)
    assert refused.value.code == "run.locked"
    [kept] = root.glob("rows-*.jsonl")  # it may be what the other is preparing
    run = tutelage.finetune(rows, output=root)
    own = run.folder / "rows-2024.jsonl"
    own.write_text("a file of the user's")
    with pytest.raises(RunFolderError):
        tutelage.finetune(alpaca_values(70), output=root)
    assert {*root.glob("rows-*")} == {kept, own}


@pytest.mark.parametrize(
    "words",
    [
        {"max_new_tokens": 2.5},
        {"max_new_tokens": True},
        {"temperature": 1.0, "seed": 1.5},
        {"temperature": 1.0, "top_k": 2.5},
        {"temperature": "hot"},
    ],
)
def test_numbers_that_no_token_could_be_drawn_with_are_refused(run, words):
    with pytest.raises(RecipeError) as refused:
        run.load().generate("Name a fruit.", **words)
    assert refused.value.code == "cli.value_out_of_range"


def test_words_that_name_nothing_are_refused_before_a_model_is_loaded(run):
    exports = (lambda: run.export("onnx"), lambda: run.export("gguf", quantization="q"))
    for call in (lambda: run.load("best"), *exports):
        with pytest.raises(RecipeError) as refused:
            call()
        assert refused.value.code == "cli.value_out_of_range"
    with pytest.raises(TypeError, match="listener"):
        tutelage.finetune("my.json", listener="print")
    with pytest.raises(RecipeError):
        tutelage.finetune("my.json", output="mine", source="other.json")


def test_a_run_is_found_from_another_folder_and_models_are_loaded_in_threads(place, monkeypatch):
    run = tutelage.finetune("my.json", output="mine")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert run.load().generate("Name a fruit.")
    expected = [run.load(which).log_probs("Name a fruit.", "pear") for which in ("tuned", "base")]
    with ThreadPoolExecutor(4) as pool:
        models = [*pool.map(run.load, ["tuned", "base"] * 3)]
    assert [model.log_probs("Name a fruit.", "pear") for model in models] == expected * 3


@pytest.mark.parametrize(
    ("typed", "as_keywords"),
    [
        ("add --overwrite to replace it.", "add overwrite=True to replace it."),
        ("--allow-changes to go on, or --new.", "allow_changes=True to go on, or another output=."),
        ("drop them with --set data.overlong=drop", 'drop them with overlong="drop"'),
        ("in float32: --set training.dtype=float32; or", 'in float32: dtype="float32"; or'),
        ("--set data.header=false.", "header=False."),
        ("--set training.max_steps=20", "max_steps=20"),
        (
            "with --map text=NAME and --map label=NAME.",
            'with column_map={"text": "NAME"} and column_map={"label": "NAME"}.',
        ),
        ("Choose another --output.", "Choose another output=."),
        ("Run `tutelage train a --overwrite` first.", "Run `tutelage train a --overwrite` first."),
        ("learning_rate is 'fast' (--set), but", "learning_rate is 'fast', but"),
        ("Leave --to peft out.", "Leave target peft out."),
        *[
            (f"{path} is damaged.", f"{path} is damaged.")
            for path in (
                "hub/models--gpt2/a",
                "hub/models--meta-llama--L",
                "in--data/a.csv",
                "x--set a.b--c=d",
            )
        ],
    ],
)
def test_what_to_do_is_said_in_keywords(typed, as_keywords):
    assert in_python(typed) == as_keywords


def test_errors_name_no_option_and_no_file_that_is_gone(place, run):
    rows = alpaca_values(60)
    tutelage.finetune("my.json", output="mine")
    faulty = [*rows, {"instruction": "a", "answer": 3}]
    for call in (
        lambda: tutelage.finetune("my.json", output="mine"),
        lambda: tutelage.finetune("my.json", output="my.json"),
        lambda: tutelage.finetune(faulty, output="faulty"),
        lambda: tutelage.finetune("my.json", output="other", learning_rate="fast"),
        lambda: tutelage.finetune(rows, output="mine", learning_rate=1e-3),
        lambda: run.export("peft", output=place / "my.json"),
        lambda: run.export("peft", quantization="f16"),
        lambda: run.load().generate("Name a fruit.", top_k=3),
        lambda: run.load().generate("Name a fruit.", temperature=-1),
        lambda: tutelage.compare(run),
    ):
        with pytest.raises(tutelage.errors.TutelageError) as refused:
            call()
        told = str(refused.value)
        assert re.findall(r"--[a-z]", re.sub(r"`tutelage [^`]*`", "", told)) == [], told
        assert re.findall(r"rows-[0-9a-f]{12}", told) == [], told


def test_numbers_of_numpy_and_torch_are_settings(place):
    given = {"max_steps": np.int64(4), "learning_rate": np.float64(3e-4), "r": torch.tensor(2)}
    run = tutelage.finetune("my.json", output="mine", general_text=np.bool_(False), **given)
    assert (run.recipe.training.max_steps, run.recipe.training.learning_rate) == (4, 3e-4)
    assert (run.recipe.adapter.r, run.recipe.evaluation.general_text) == (2, False)
    with pytest.raises(RecipeError) as refused:
        tutelage.finetune("my.json", output="other", max_steps=np.array([4, 5]))
    assert refused.value.code == "settings.invalid_value"


def test_the_setting_that_was_meant_is_named_as_a_keyword(place):
    for wrong, meant in (("lr", "learning_rate"), ("learning_rat", "learning_rate"), ("steps", "max_steps")):
        with pytest.raises(RecipeError) as refused:
            tutelage.finetune("my.json", output="mine", **{wrong: 1})
        assert refused.value.code == "settings.unknown"
        assert f" {meant}?" in str(refused.value)


def test_a_data_frame_is_taken_row_by_row(place):
    import pandas

    rows = alpaca_values(60)
    run = tutelage.finetune(pandas.DataFrame(rows), output="frame")
    [kept] = run.folder.glob("rows-*.jsonl")
    assert read_json_lines(kept) == rows
    with pytest.raises(DataError) as refused:
        tutelage.finetune(pandas.DataFrame([*rows, {"instruction": "a"}]), output="holes")
    assert (refused.value.code, refused.value.row) == ("data.row_not_json", 60)


def test_runs_are_equal_by_their_folder_and_step(place, run):
    (place / "link").symlink_to(run.folder)
    same = tutelage.Run(place / "link")
    assert same == run
    assert len({same, run, tutelage.Run(run.folder, step=2)}) == 2
    assert run != str(run.folder)
    assert eval(repr(tutelage.Run(run.folder, step=2)), {"Run": tutelage.Run}) == tutelage.Run(
        run.folder, step=2
    )
