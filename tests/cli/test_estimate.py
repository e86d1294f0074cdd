"""How long a run takes, said before its first step; and the trial that is offered where it takes long."""

import shlex

import pytest
from support.pairs import preference_values
from support.rows import alpaca_values, write_rows

from tutelage.cli.views.estimate import describe_estimate, describe_time
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import load
from tutelage.run.events import Estimated
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines
from tutelage.stages import estimate as estimate_module
from tutelage.stages.estimate import Estimate, trial_settings
from tutelage.system.interruption import INTERRUPTION
from tutelage.training import loop
from tutelage.training.work import Pace

QUICK = [
    "--set", "training.max_steps=6",
    "--set", "training.eval_steps=2",
    "--set", "training.dtype=float32",
    "--set", "adapter.r=2",
    "--set", "evaluation.limit=4",
    "--set", "evaluation.max_new_tokens=8",
]  # fmt: skip
FOUND = Estimate(training=160.0, evaluation=70.0, report=5.0, steps=268, may_stop_early=False)


@pytest.fixture
def place(workplace):
    write_rows(workplace / "my.json", alpaca_values(80))
    return workplace


@pytest.fixture
def begin(model):
    return ["--data", "my.json", "--output", "mine", "--set", f"model.name_or_path={model}", *QUICK]


def estimates(folder):
    return [event for event in read_json_lines(RunFolder(folder).events) if event["event"] == "estimate"]


def told(ended):
    """The line that tells how long it takes, and the one after it."""
    lines = ended.out.splitlines()
    [place] = [number for number, line in enumerate(lines) if " from here: " in line]
    return lines[place : place + 2]


def test_a_run_says_before_its_first_step_how_long_each_stage_takes(tutelage, place, begin):
    ended = tutelage("run", *begin)
    assert ended.code == 0, ended.err
    [event] = estimates(place / "mine")
    stages = [event[f"{stage}_seconds"] for stage in ("training", "evaluation", "report")]
    assert all(seconds > 0 for seconds in stages)
    assert event["seconds"] == pytest.approx(sum(stages))
    assert event["step"] == 0
    assert all(seconds > 0 for name, seconds in event["pace"].items() if name != "targets")
    line, following = told(ended)
    assert "(6 steps), evaluation and report " in line
    assert following == "Validating before the first step …"


def test_a_training_alone_speaks_of_the_training_alone(tutelage, place, begin):
    assert tutelage("prepare", *begin).code == 0
    ended = tutelage("train", "mine")
    assert "evaluation" not in told(ended)[0]
    [event] = estimates(place / "mine")
    assert (event["evaluation_seconds"], event["report_seconds"]) == (0, 0)
    assert event["training_seconds"] > 0


def test_a_run_that_goes_on_says_how_long_the_rest_takes(tutelage, place, begin, monkeypatch):
    made = loop.optimizer_step

    def interrupted(*words, **options):
        INTERRUPTION.requested = True
        return made(*words, **options)

    monkeypatch.setattr(loop, "optimizer_step", interrupted)
    assert tutelage("run", *begin).code == 75
    monkeypatch.setattr(loop, "optimizer_step", made)
    monkeypatch.setattr(INTERRUPTION, "requested", False)
    ended = tutelage("run", *begin)
    assert ended.code == 0, ended.err
    assert "(5 steps), evaluation and report " in told(ended)[0]
    assert [event["step"] for event in estimates(place / "mine")] == [0, 1]
    assert tutelage("run", *begin).code == 2  # it is finished


@pytest.mark.parametrize("objective", ["dpo", "classification"])
def test_other_objectives_are_estimated_too(tutelage, place, model, objective):
    rows = preference_values(60)
    if objective == "classification":
        rows = [{"text": row["prompt"], "label": "even" if n % 2 else "odd"} for n, row in enumerate(rows)]
    write_rows(place / "my.json", rows)
    settings = {
        "model.name_or_path": model,
        "training.objective": objective,
        "training.dtype": "float32",
        "training.max_steps": 2,
        "adapter.r": 2,
        "data.test_size": 0.3,
        "data.train_size": 0.6,
    }
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    ended = tutelage("run", "--data", "my.json", "--output", "mine", *given)
    assert ended.code == 0, ended.err
    [event] = estimates(place / "mine")
    assert event["evaluation_seconds"] > 0
    assert (event["pace"]["decoding_steps"] > 0) == (objective == "dpo")


def test_where_the_memory_does_not_hold_what_is_timed_the_training_begins_without(
    tutelage, place, begin, monkeypatch
):
    def short_of_memory(*_, **__):
        raise MemoryError("not enough")

    monkeypatch.setattr("tutelage.training.pace.accumulate_gradients", short_of_memory)
    ended = tutelage("run", *begin)
    assert ended.code == 0, ended.err
    assert " from here: " not in ended.out
    assert estimates(place / "mine") == []


def test_a_long_run_offers_a_trial_that_is_the_same_run_but_shorter(tutelage, place, begin, monkeypatch):
    # A node takes two seconds, so that a step takes minutes.
    slow = Pace(trained_nodes=2.0, updates=1.0, nodes=2.0, targets=0.0, decoding_steps=9.0, sample_steps=9.0)
    monkeypatch.setattr(estimate_module, "_measure", lambda *_, **__: slow)
    rows = ("--set", "data.train_size=0.6", "--set", "data.test_size=0.3", "--set", "evaluation.limit=12")
    long = tutelage("run", *begin, *rows)
    assert long.code == 0, long.err
    [event] = estimates(place / "mine")
    assert event["seconds"] > 12 * 60
    lines = long.out.splitlines()
    [place_of_trial] = [number for number, line in enumerate(lines) if line.startswith("A trial of about ")]
    program, *words = shlex.split(lines[place_of_trial + 1])
    assert program == "tutelage"
    trial = tutelage(*words)
    assert trial.code == 0, trial.err
    beside = RunFolder(place / "mine-2")
    [shorter] = estimates(beside.root)
    assert shorter["training_seconds"] < event["training_seconds"]
    assert shorter["evaluation_seconds"] < event["evaluation_seconds"]
    assert read_json(beside.summary)["training"]["steps"] == 4
    changed = {"training.max_steps", "evaluation.limit"}
    assert {*differing(RunFolder(place / "mine").recipe, beside.recipe)} == changed


def differing(one, other):
    one, other = (load(path, {}, []).settings() for path in (one, other))
    return [a.name for a, b in zip(one, other, strict=True) if a.value != b.value]


def line_of(found, *, judges_counted=True):
    return describe_estimate(
        Estimated(
            step=0,
            seconds=found.seconds,
            training_seconds=found.training,
            evaluation_seconds=found.evaluation,
            report_seconds=found.report,
            pace={},
            steps=found.steps,
            may_stop_early=found.may_stop_early,
            judges_counted=judges_counted,
        )
    )


def test_the_line_names_each_stage_and_what_may_make_it_shorter_or_longer():
    assert line_of(FOUND) == "About 4 min from here: training 2:40 (268 steps), evaluation and report 1:15."
    at_most = Estimate(160.0, 70.0, 5.0, 268, may_stop_early=True)
    assert "training at most 2:40 (268 steps)" in line_of(at_most)
    assert line_of(FOUND, judges_counted=False).endswith("report 1:15, judges not counted.")
    alone = Estimate(3700.0, 0.0, 0.0, 5000, may_stop_early=False)
    assert line_of(alone) == "About 62 min from here: training 1:01:40 (5,000 steps)."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "about 5 s"),
        (52, "about 50 s"),
        (89, "about 90 s"),
        (91, "about 2 min"),
        (5340, "about 89 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_times_are_told_no_finer_than_they_are_known(seconds, text):
    assert describe_time(seconds) == text


def test_a_trial_cuts_each_stage_that_is_long_and_no_other():
    recipe = Recipe()
    assert trial_settings(recipe, FOUND, rows=100) == {"training.max_steps": 201}  # 268 * 120 / 160
    long = Estimate(100.0, 1200.0, 5.0, 268, may_stop_early=False)
    assert trial_settings(recipe, long, rows=400) == {"evaluation.limit": 40}
    limited = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"limit": 200})})
    assert trial_settings(limited, long, rows=400)["evaluation.limit"] == 20
    # A training of few long steps gets no step more, and few rows no row more.
    few = Estimate(1000.0, 1200.0, 5.0, 3, may_stop_early=False)
    assert trial_settings(recipe, few, rows=5) == {"training.max_steps": 3, "evaluation.limit": 5}
