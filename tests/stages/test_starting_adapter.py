"""Runs that go on from an adapter: what they are compared with, what they export, and what they refuse."""

import json
import math
import shutil
from dataclasses import replace
from unittest.mock import ANY

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from support.command_line import CommandLine
from support.pairs import preference_values
from support.rows import alpaca_values, write_rows
from support.tiny_models import log_probs_token_by_token
from support.tiny_tokenizer import write_tiny_model
from transformers import AutoModelForCausalLM

import tutelage
from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.config.recipe_file import load, setting_named
from tutelage.config.recipes import shipped_path
from tutelage.errors import Interrupted, ModelError, RecipeError, RunFolderError, TutelageError
from tutelage.model.sources import HubModel, ModelSource
from tutelage.run.artifacts import Reference, read_artifact
from tutelage.run.events import StepTaken
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines
from tutelage.stages.inputs import Inputs
from tutelage.stages.opening import new_run
from tutelage.stages.reporter import Reporter
from tutelage.stages.run import run_all
from tutelage.stages.session import Session
from tutelage.stages.starting_adapter import find_adapter
from tutelage.training.checkpoint import changes_since
from tutelage.tree.examples import Example

QUICK = {
    "dtype": "float32",
    "eval_steps": 2,
    "sample_prompts": 0,
    "early_stopping_patience": 0,
    "learning_rate": 0.02,
    "limit": 4,
    "max_new_tokens": 8,
    "forgetting": False,
}
ROUNDING = 1e-4  # nats of a whole answer, in float32


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a model, rows and pairs, which no test changes."""
    root = tmp_path_factory.mktemp("home")
    write_tiny_model(root / "tiny")
    write_rows(root / "rows.json", alpaca_values(80))
    write_rows(root / "pairs.json", preference_values(40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTELAGE_CACHE", str(root / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield root


@pytest.fixture(scope="module")
def first(home):
    """A run whose adapter is trained further."""
    return finetune(
        home, "first", data="rows.json", name_or_path=str(home / "tiny"), r=3, lora_alpha=5, max_steps=6
    )


@pytest.fixture(scope="module")
def second(home, first):
    """A preference tuning that goes on from it."""
    return finetune(home, "second", adapter=first.folder, max_steps=4)


def finetune(home, name, *, data="pairs.json", **settings):
    if data == "pairs.json":
        settings = {"objective": "dpo", **settings}
    return tutelage.finetune(home / data, output=home / name, **{**QUICK, **settings})


def weights_of(run):
    return load_file(run.folder / "model" / "adapter_model.safetensors")


def test_the_settings_and_the_base_model_are_those_of_the_adapter(home, first, second):
    found = second.recipe
    assert (found.adapter.r, found.adapter.lora_alpha, found.adapter.target_modules) == (3, 5, "all-linear")
    assert found.model.adapter == str(first.folder)
    assert found.model.name_or_path == str(home / "tiny")
    assert weights_of(second).keys() == weights_of(first).keys()


PROMPTS = [(f"Give {number} a fig.", "Gladly: fig.") for number in range(6)]


def log_probs(model):
    return torch.tensor([sum(model.log_probs(prompt, answer)) for prompt, answer in PROMPTS])


def test_base_of_the_second_run_is_the_model_of_the_first(first, second):
    start = log_probs(first.load("tuned"))
    assert torch.equal(log_probs(second.load("base")), start)
    assert (log_probs(first.load("base")) - start).abs().max() > 0.1, "the raw base would pass as well"
    assert (log_probs(second.load("tuned")) - start).abs().max() > 0.01, "nothing was trained"


def test_every_figure_of_the_base_arm_is_that_of_the_first_model(home, first, second):
    """Its answers, the reference of the loss, and what the evaluation says it gave both answers."""
    start, raw = first.load("tuned"), first.load("base")
    rows = read_json_lines(second.folder / "evaluation" / "preferences.jsonl")
    assert len(rows) == 4
    for row in rows:
        pair = preference_values(40)[row["row"]]
        for side in ("chosen", "rejected"):
            assert row["base"][side] == pytest.approx(of_answer(start, pair, side), abs=ROUNDING)
            assert abs(row["base"][side] - of_answer(raw, pair, side)) > 0.1, (
                "the raw base would pass as well"
            )
    for answer in read_json_lines(second.folder / "evaluation" / "base.jsonl"):
        prompt = preference_values(40)[answer["row"]]["prompt"]
        assert answer["response"] == start.generate(prompt)


def of_answer(model, pair, side):
    return sum(model.log_probs(pair["prompt"], pair[side]))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_reference_of_preferences_is_the_first_model(first, second, split):
    run = RunFolder(second.folder)
    found = np.array(getattr(read_artifact(Reference, run.reference), split).log_probs)
    pairs = [preference_values(40)[row["row"]] for row in read_json_lines(run.split(split))]

    def of(model):
        return np.array([[of_answer(model, pair, side) for side in ("chosen", "rejected")] for pair in pairs])

    assert np.abs(found - of(first.load("tuned"))).max() < ROUNDING
    # With the raw base as the reference the margins of the untrained model would not be 0.
    margins = (found - of(first.load("base"))) @ [1, -1]
    assert np.abs(margins).max() > 0.1


def test_before_the_first_step_nothing_is_gained(second):
    first, *_ = (
        one for one in read_json_lines(second.folder / "events.jsonl") if one["event"] == "validation"
    )
    assert (first["step"], first["margin"], first["accuracy"], first["ties"]) == (0, 0, 0, 1)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_a_run_that_learns_nothing_keeps_the_given_adapter_to_the_bit(home, first):
    untouched = finetune(home, "untouched", adapter=first.folder, max_steps=1, learning_rate=1e-30)
    given, kept = weights_of(first), weights_of(untouched)
    assert all(torch.equal(kept[name], given[name]) for name in given)
    assert torch.equal(log_probs(untouched.load()), log_probs(first.load()))
    assert all(
        one["margin"] == 0 for one in read_json_lines(untouched.folder / "evaluation" / "preferences.jsonl")
    )


def test_general_text_is_compared_with_the_first_model(home, first):
    run = finetune(home, "general", adapter=first.folder, max_steps=1, learning_rate=1e-30, forgetting=True)
    found = run.evaluation.forgetting
    assert (found.difference, found.kl) == (0, 0)
    other = finetune(
        home,
        "first-general",
        data="rows.json",
        name_or_path=str(home / "tiny"),
        r=3,
        max_steps=6,
        forgetting=True,
    )
    assert abs(other.evaluation.forgetting.difference) > 0.01, "the raw base would pass as well"


@torch.no_grad()
def of_plain(module):
    """What a program without Tutelage gives the answers; their ids are those of the exported tokenizer's text."""
    return torch.stack([log_probs_token_by_token(module.eval(), example).sum() for example in EXAMPLES])


EXAMPLES = [Example(row, tuple(range(5 + row, 40 + row)), prompt_tokens=30, supervised=5) for row in range(6)]


def test_exports_hold_one_adapter_on_the_original_base(home, first, second, tmp_path):
    base = str(home / "tiny")
    peft, hf = (second.export(kind, output=tmp_path).folder for kind in ("peft", "hf"))
    assert read_json(peft / "adapter_config.json")["r"] == 3

    def plain(folder=base):
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)

    trained = of_plain(PeftModel.from_pretrained(plain(), str(second.folder / "model")))
    assert (of_plain(PeftModel.from_pretrained(plain(), str(peft))) - trained).abs().max() < ROUNDING
    assert (of_plain(plain(hf)) - trained).abs().max() < ROUNDING
    start = of_plain(PeftModel.from_pretrained(plain(), str(first.folder / "model")))
    assert (start - trained).abs().max() > 0.1, "the adapter of the first run would pass as well"
    for card in (peft / "README.md", second.folder / "model" / "README.md"):
        assert "Trained further from: the adapter first" in card.read_text()


def test_a_run_that_went_on_can_be_gone_on_with(home, second):
    third = finetune(home, "third", adapter=second.folder, max_steps=2)
    assert torch.equal(log_probs(third.load("base")), log_probs(second.load("tuned")))
    assert third.recipe.adapter == second.recipe.adapter


def test_a_checkpoint_can_be_gone_on_with(home, first):
    step = RunFolder(first.folder).saved_steps()[0]
    named = [f"{first.folder}@{step}", RunFolder(first.folder).checkpoint(step)]
    starts = [
        log_probs(finetune(home, f"of-step-{place}", adapter=name, max_steps=1).load("base"))
        for place, name in enumerate(named)
    ]
    assert all(torch.equal(start, log_probs(first.load(step=step))) for start in starts)
    assert not torch.equal(starts[0], log_probs(first.load()))


def test_a_folder_of_peft_is_gone_on_with_and_what_is_not_known_of_it_is_noted(home, first, tmp_path, heard):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "bare").mkdir(exist_ok=True)
        shutil.copy(first.folder / "model" / name, tmp_path / "bare" / name)
    run = finetune(
        home,
        "of-peft",
        adapter=tmp_path / "bare",
        name_or_path=str(home / "tiny"),
        max_steps=1,
        listener=heard,
    )
    assert torch.equal(log_probs(run.load("base")), log_probs(first.load()))
    assert "model.adapter_base_unknown" in heard.codes
    assert "model.adapter_other_prompt" not in heard.codes


@pytest.fixture
def heard():
    def listen(event):
        if event.event == "message":
            listen.codes.append(event.code)

    listen.codes = []
    return listen


def test_another_prompt_style_is_noted(home, first, heard):
    finetune(home, "phi3", adapter=first.folder, prompt="phi3", max_steps=1, listener=heard)
    assert heard.codes.count("model.adapter_other_prompt") == 1
    assert "model.adapter_base_unknown" not in heard.codes


def refused(kind, home, name="refused", **settings):
    with pytest.raises(kind) as fault:
        finetune(home, name, **{"max_steps": 1, **settings})
    assert not (home / name / "data").exists(), "nothing is prepared for a run that cannot begin"
    return fault.value


def test_another_base_model_is_refused_with_the_setting_that_names_the_right_one(home, first, tmp_path):
    write_tiny_model(tmp_path / "other", context=256)
    weights = tmp_path / "other" / "model.safetensors"
    content = load_file(weights)
    name = next(iter(content))
    save_file(content | {name: content[name] + 1}, weights, metadata={"format": "pt"})
    fault = refused(ModelError, home, adapter=first.folder, name_or_path=str(tmp_path / "other"))
    assert fault.code == "model.adapter_of_other_base"
    assert f"--set model.name_or_path={home / 'tiny'}" in str(fault)


def test_settings_of_the_adapter_that_are_set_otherwise_are_refused_by_name(home, first):
    fault = refused(RecipeError, home, adapter=first.folder, r=8, target_modules=["q_proj"])
    assert fault.code == "settings.adapter_differs"
    assert all(told in str(fault) for told in ("adapter.r is 8", "adapter.target_modules is ['q_proj']"))
    same = finetune(home, "same", adapter=first.folder, r=3, target_modules="all-linear", max_steps=1)
    assert same.recipe.adapter.r == 3


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"adapter": "nowhere"}, "model.adapter_not_found"),
        ({"type": "none"}, "settings.adapter_needs_lora"),
        ({"objective": "classification"}, "settings.not_for_objective"),
    ],
)
def test_what_cannot_go_on_from_an_adapter_is_refused(home, first, settings, code):
    assert refused((ModelError, RecipeError), home, **{"adapter": first.folder, **settings}).code == code


def test_a_run_that_trained_every_weight_has_no_adapter(home):
    whole = finetune(
        home, "whole", data="rows.json", name_or_path=str(home / "tiny"), type="none", max_steps=1
    )
    fault = refused(ModelError, home, adapter=whole.folder)
    assert fault.code == "model.adapter_not_lora"
    assert f"tutelage export {whole.folder} --to hf" in str(fault)


def test_a_classification_is_refused(home):
    rows = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(60)]
    write_rows(home / "labels.json", rows)
    settings = {"dtype": "float32", "objective": "classification", "max_steps": 1, "r": 2}
    labels = tutelage.finetune(
        home / "labels.json", output=home / "labels", name_or_path=str(home / "tiny"), **settings
    )
    assert refused(ModelError, home, adapter=labels.folder).code == "model.adapter_of_classification"


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(home, first):
    folder = home / "unfinished"
    shutil.copytree(first.folder, folder)
    shutil.rmtree(folder / "model")
    fault = refused(ModelError, home, adapter=folder)
    assert fault.code == "model.adapter_run_unfinished"
    assert f"tutelage train {folder}" in str(fault)
    assert f"--set model.adapter={folder}@6" in str(fault)
    assert refused(RunFolderError, home, adapter=f"{folder}@5").code == "run.no_such_checkpoint"


def test_a_run_cannot_go_on_from_itself(home, first):
    kept = weights_of(first)
    with pytest.raises(ModelError) as fault:
        finetune(home, "first", adapter=first.folder, overwrite=True)
    assert fault.value.code == "model.adapter_of_this_run"
    assert all(torch.equal(weight, kept[name]) for name, weight in weights_of(first).items())


@pytest.fixture
def started(home, first, tmp_path):
    """A run that goes on from a copy of the first one, was ended after two of four steps, and can be called again."""
    shutil.copytree(first.folder, tmp_path / "start")
    assert session_of(home, tmp_path, stop_after=2) == Interrupted
    return tmp_path


def session_of(home, place, *, stop_after=None, **options):
    """Run all stages; return the kind of error that ended them, a code of ours in its place, or None."""
    given = {**QUICK, "objective": "dpo", "adapter": str(place / "start"), "max_steps": 4}
    overrides = {f"--set {setting_named(name)}": value for name, value in given.items()}
    overrides["--data data.source"] = str(home / "pairs.json")
    run, loaded = new_run(None, overrides, root=place / "mine")

    def listen(event):
        if isinstance(event, StepTaken) and event.step == stop_after:
            session.interruption.requested = True

    session = Session(run, loaded, listener=listen)
    try:
        run_all(session, **options)
    except Interrupted:
        return Interrupted
    except TutelageError as fault:
        return fault.code, str(fault)
    return None


def change(place):
    """Train the adapter that a run started from anew: other weights of the same shapes."""
    weights = {name: weight + 0.01 for name, weight in load_file(place / "adapter_model.safetensors").items()}
    save_file(weights, place / "adapter_model.safetensors", metadata={"format": "pt"})
    (place / "manifest.json").unlink(missing_ok=True)


def test_an_interrupted_run_goes_on_to_the_bit(home, second, started):
    assert session_of(home, started) is None
    kept, straight = load_file(started / "mine" / "model" / "adapter_model.safetensors"), weights_of(second)
    assert all(torch.equal(kept[name], straight[name]) for name in straight)


def test_a_run_does_not_go_on_once_its_starting_adapter_changed(home, started):
    change(started / "start" / "model")
    code, told = session_of(home, started)
    assert code == "run.settings_changed"
    assert "the starting adapter" in told
    # Accepted, it is recorded, and the reference is that of the adapter that is there now.
    before = read_artifact(Reference, started / "mine" / "reference.json").train.identity
    assert session_of(home, started, accept_changes=True) is None
    assert (
        "the starting adapter" in read_json(started / "mine" / "model" / "training.json")["accepted_changes"]
    )
    assert read_artifact(Reference, started / "mine" / "reference.json").train.identity != before


def test_a_finished_run_is_not_asked_once_its_starting_adapter_changed(home, started):
    assert session_of(home, started) is None
    run = tutelage.Run(started / "mine")
    run.load("base")
    change(started / "start" / "model")
    for ask in (lambda: run.load("base"), lambda: run.load("tuned"), lambda: run.export("peft")):
        with pytest.raises(RunFolderError) as fault:
            ask()
        assert fault.value.code == "run.starting_adapter_changed"
    shutil.rmtree(started / "start")
    with pytest.raises(ModelError) as fault:
        run.load("base")
    assert fault.value.code == "model.adapter_not_found"


@pytest.fixture
def command(capsys):
    return CommandLine(capsys)


def test_dry_run_says_what_is_taken_from_the_adapter_and_estimates(home, first, command):
    words = ["run", "prefer", "--data", home / "pairs.json", "--output", home / "dry"]
    ended = command(
        *words, "--set", f"model.adapter={first.folder}", "--set", "training.device=cpu", "--dry-run"
    )
    assert ended.code == 0, ended.err
    shown = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert any(line.startswith("adapter.r 3 model.adapter") for line in shown), ended.out
    assert any(line.startswith("model.name_or_path") and line.endswith("model.adapter") for line in shown)
    assert not (home / "dry").exists()


def test_the_adapter_of_an_unknown_run_is_refused_before_rows_are_read(home, command):
    ended = command(
        "run", "--data", home / "pairs.json", "--output", home / "dry", "--set", "model.adapter=no/run"
    )
    assert ended.code == 2
    assert "error[model.adapter_not_found]" in ended.err
    ended = command("run", "--data", home / "pairs.json", "--output", home / "dry", "--set", "adapter=no/run")
    assert ended.code == 2
    assert "model.adapter" in ended.err, "the table [adapter] has the same name"


@pytest.fixture
def finished(home, started):
    """A run that is done, beside the run that it went on from; with what it gives."""
    assert session_of(home, started) is None
    return started


def move(place, *names):
    """Move what stands in a folder, as a project that is renamed."""
    (place / "elsewhere").mkdir()
    for name in names:
        shutil.move(place / name, place / "elsewhere" / name)
    return place / "elsewhere"


def test_two_runs_that_are_moved_together_stay_usable(first, finished, command):
    moved = move(finished, "start", "mine")
    run = tutelage.Run(moved / "mine")
    assert torch.equal(log_probs(run.load("base")), log_probs(first.load("tuned")))
    for verb in ("report", "evaluate"):
        ended = command(verb, moved / "mine", "--overwrite")
        assert ended.code == 0, ended.err


def test_an_interrupted_run_that_was_moved_goes_on_to_the_bit(home, second, started):
    moved = move(started, "start", "mine")
    assert session_of(home, moved) is None  # which names the new place
    kept, straight = load_file(moved / "mine" / "model" / "adapter_model.safetensors"), weights_of(second)
    assert all(torch.equal(kept[name], straight[name]) for name in straight)


def test_the_place_of_the_starting_adapter_is_no_change_of_a_checkpoint():
    assert changes_since({"model.adapter": "here", "adapter.r": 3}, {"adapter.r": 3}) == []
    assert changes_since({"adapter.r": 3}, {"adapter.r": 4}) != []


def test_another_adapter_that_stands_where_the_first_would_be_is_not_taken(finished):
    moved = move(finished, "start", "mine")
    change(moved / "start" / "model")
    with pytest.raises(ModelError) as fault:
        tutelage.Run(moved / "mine").load("base")
    assert fault.value.code == "model.adapter_not_found"


@pytest.mark.parametrize("part", [".", "model", "export/peft"])
def test_an_adapter_that_was_moved_alone_is_named_again(first, finished, command, part):
    start, mine = finished / "start", finished / "mine"
    if part == "export/peft":
        tutelage.Run(start).export("peft")
    shutil.copytree(start / part, finished / "far" / "away")
    shutil.rmtree(start)
    with pytest.raises(ModelError) as fault:
        tutelage.Run(mine).load("base")
    assert fault.value.code == "model.adapter_not_found"
    assert "--set model.adapter=" in str(fault.value)
    named = ("--set", f"model.adapter={finished / 'far' / 'away'}")
    ended = command("generate", mine, "Give a fig.", *named)
    assert ended.code == 0, ended.err
    ended = command("evaluate", mine, "--overwrite", *named)
    assert ended.code == 0, ended.err
    assert torch.equal(log_probs(tutelage.Run(mine).load("base")), log_probs(first.load("tuned")))


def test_another_adapter_is_refused_by_its_hash(home, first, finished, command):
    mine = finished / "mine"
    shutil.copytree(finished / "start", finished / "other")
    change(finished / "other" / "model")
    for verb, *words in (("generate", mine, "Give a fig."), ("evaluate", mine, "--overwrite")):
        ended = command(verb, *words, "--set", f"model.adapter={finished / 'other'}")
        assert ended.code != 0
        assert "error[run.starting_adapter_changed]" in ended.err


@pytest.mark.parametrize("named", ["first/model", "first/model/", "./first", "first/export/../model"])
def test_parts_of_a_run_are_named_from_any_folder(home, first, monkeypatch, named):
    (home / "first" / "export").mkdir(exist_ok=True)
    monkeypatch.chdir(home)
    assert find_adapter(named) == replace(find_adapter(str(first.folder)), name=named, folder=ANY)


@pytest.mark.parametrize("inside", ["first", "first/model", "first/checkpoints/step-000006"])
def test_a_run_is_named_from_inside(home, first, monkeypatch, inside):
    monkeypatch.chdir(home / inside)
    found = find_adapter(".")
    assert found.base_sha256 == find_adapter(str(first.folder)).base_sha256 is not None


def test_an_export_in_a_run_is_the_adapter_of_the_run(home, first, tmp_path):
    shutil.copytree(first.folder, tmp_path / "whole")
    exported = tutelage.Run(tmp_path / "whole").export("peft").folder
    found, whole = find_adapter(str(exported)), find_adapter(str(tmp_path / "whole"))
    assert (found.sha256, found.base_sha256) == (whole.sha256, whole.base_sha256)
    run = finetune(home, "of-export", adapter=exported, max_steps=1)
    assert run.recipe.model.name_or_path == str(home / "tiny")


def bare_folder(first, place, **told):
    """Write an adapter as a stranger has it: in PEFT format, and nothing beside it."""
    place.mkdir()
    shutil.copy(first.folder / "model" / "adapter_model.safetensors", place)
    config = read_json(first.folder / "model" / "adapter_config.json")
    (place / "adapter_config.json").write_text(json.dumps(config | told))
    return place


def test_a_folder_that_names_its_base_is_not_put_on_the_default_model(home, first, tmp_path):
    folder = bare_folder(first, tmp_path / "bare", base_model_name_or_path="somebody/large-7b")
    fault = refused(ModelError, home, adapter=folder)
    assert fault.code == "model.adapter_base_not_given"
    assert "--set model.name_or_path=somebody/large-7b" in str(fault)
    default = bare_folder(first, tmp_path / "default", base_model_name_or_path=DEFAULT_MODEL)
    _, loaded = new_run(None, {"--set model.adapter": str(default)}, root=tmp_path / "new")
    assert loaded.recipe.model.name_or_path == DEFAULT_MODEL


@pytest.fixture
def hub_model(home, monkeypatch):
    """A model that is said to be owner/tiny of the hub."""
    there = ModelSource(home / "tiny", "owner/tiny", "0" * 64, None, original=HubModel("owner/tiny", None))
    monkeypatch.setattr("tutelage.model.sources.locate_model", lambda *_, **__: there)
    return there


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ("somebody/large-7b", "model.adapter_of_other_hub_model"),
        ("Owner/Tiny@main", "model.adapter_base_unknown"),
        ("/home/of/a/stranger", "model.adapter_base_unknown"),
    ],
)
def test_another_hub_model_than_the_folder_names_is_warned_of(first, tmp_path, hub_model, base, code):
    folder = bare_folder(first, tmp_path / "bare", base_model_name_or_path=base)
    settings = {"--set model.adapter": str(folder), "--set model.name_or_path": hub_model.name}
    _, loaded = new_run(None, settings, root=tmp_path / "new")
    events = []
    Inputs(loaded, Reporter(events.append)).note_about_adapter()
    assert [event.code for event in events if event.event == "message"] == [code]


def test_a_recipe_file_gives_way_to_the_adapter_and_the_command_line_does_not(home, first, command):
    recipe = shipped_path("laptop")
    before = load(recipe, {}, []).recipe
    assert (before.adapter.r, before.adapter.lora_alpha) != (3, 5)
    words = ["run", recipe, "--data", home / "pairs.json", "--output", home / "dry", "--dry-run"]
    words += ["--set", f"model.adapter={first.folder}", "--set", f"model.name_or_path={home / 'tiny'}"]
    words += ["--set", "training.objective=dpo"]
    ended = command(*words)
    assert ended.code == 0, ended.err
    shown = [" ".join(line.split()) for line in ended.out.splitlines()]
    for line in ("adapter.r 3 model.adapter", "adapter.lora_alpha 5 model.adapter"):
        assert any(one.startswith(line) for one in shown), ended.out
    assert any("adapter.lora_dropout 0.05 laptop.toml" in one for one in shown), ended.out
    ended = command(*words, "--set", "adapter.r=16")
    assert "error[settings.adapter_differs]" in ended.err
    assert "adapter.lora_alpha" not in ended.err
