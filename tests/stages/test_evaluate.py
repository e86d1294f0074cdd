"""The evaluation as a stage: what it refuses, what it makes of one that a crash ended, and what it finds worse."""

import shutil
from types import SimpleNamespace

import pytest
from support.fake_further import JUDGED
from support.rows import alpaca_values, write_rows, write_split

import tutelage
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.config.recipe_file import load
from tutelage.errors import DataError, RunFolderError
from tutelage.evaluation.evaluate import own_verdict
from tutelage.evaluation.evaluated_rows import require_context_space, rows_to_evaluate
from tutelage.model.loading import context_length
from tutelage.run import events
from tutelage.run.evaluation import read_evaluation
from tutelage.run.folder import RunFolder, read_json, write_json
from tutelage.stages.evaluate import evaluate, has_worse_set
from tutelage.stages.prepare import prepare
from tutelage.stages.prepared import read_prepared
from tutelage.stages.run import run_all
from tutelage.stages.run_folders import earlier_run
from tutelage.stages.session import Session
from tutelage.stages.train import train
from tutelage.tree.examples import Example, PreparedRow

QUICK = {"dtype": "float32", "max_steps": 1, "r": 2, "max_new_tokens": 4, "general_text": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(autouse=True, scope="module")
def offline(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTELAGE_CACHE", str(place / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def finished(place, model, offline):
    rows = write_rows(place / "my.json", alpaca_values(40))
    return tutelage.finetune(rows, output=place / "run", name_or_path=str(model), **QUICK).folder


@pytest.fixture
def run(finished, tmp_path):
    """A finished run, which a test may change."""
    return RunFolder(shutil.copytree(finished, tmp_path / "run"))


def session_of(run, **settings):
    loaded = earlier_run(run.root, {f"--set {name}": value for name, value in settings.items()})
    heard = []
    session = Session(*loaded, listener=heard.append)
    session.heard = heard
    return session


def begun_stages(session):
    return [event.stage for event in session.heard if isinstance(event, events.StageStarted)]


def test_answers_that_a_crash_left_beside_a_whole_evaluation_are_removed(run):
    before, kept = read_evaluation(run.metrics), run.metrics.read_bytes()
    run.report.unlink()
    run.answers.mkdir()
    (run.answers / "base.jsonl").write_text("{}\n")
    session = session_of(run)
    outcome = run_all(session)
    assert begun_stages(session) == ["report"], "nothing is asked again"
    assert outcome.evaluation == before
    assert run.metrics.read_bytes() == kept
    assert run.report.exists()
    assert not run.answers.exists()


def test_an_evaluation_that_was_ended_before_its_report_is_reported_and_not_made_again(run):
    before = read_evaluation(run.metrics)
    summary = read_json(run.summary)
    found = summary.pop("evaluation")
    write_json(run.summary, summary)
    session = session_of(run)
    assert evaluate(session).evaluation == before
    assert begun_stages(session) == ["report"]
    assert read_json(run.summary)["evaluation"] == found
    with pytest.raises(RunFolderError) as fault:
        evaluate(session_of(run))  # now that the report is there
    assert fault.value.code == "run.stage_done"


def test_a_run_without_test_rows_cannot_be_evaluated(session_on):
    session = session_on(data__test_size=0, data__train_size=1, training__max_steps=1)
    prepare(session)
    train(session)
    with pytest.raises(DataError) as fault:
        evaluate(session)
    assert fault.value.code == "evaluate.no_test_rows"
    assert f"tutelage prepare {session.run.root} --overwrite --set data.test_size=" in str(fault.value)
    assert not session.run.evaluation.exists()


def test_a_prompt_may_leave_exactly_the_room_that_an_answer_takes(model):
    source = SimpleNamespace(folder=model)
    longest = Example(7, tuple(range(40)), prompt_tokens=30, supervised=10)
    room = context_length(model) - 30
    require_context_space(longest, EvaluationSettings(max_new_tokens=room), source)
    with pytest.raises(DataError) as fault:
        require_context_space(longest, EvaluationSettings(max_new_tokens=room + 1), source)
    assert fault.value.code == "evaluate.prompt_too_long"
    assert all(part in str(fault.value) for part in ("Row 7", "30 tokens", f"max_new_tokens={room + 1}"))


def test_only_prompts_that_are_asked_have_to_leave_room(tmp_path, model):
    prompts = (5, 9, 8, 30)
    examples = [Example(row, tuple(range(tokens + 2)), tokens, 2) for row, tokens in enumerate(prompts)]
    write_split(tmp_path / "data", "test", [PreparedRow("Ask.", "Answer.", one) for one in examples])
    rows, source = read_prepared(RunFolder(tmp_path), "test"), SimpleNamespace(folder=model)

    def asked(limit, room):
        settings = {"--set evaluation.limit": limit, "--set evaluation.max_new_tokens": room}
        return rows_to_evaluate(rows, load(None, settings, []).recipe, source)

    context = context_length(model)
    assert [row.example for row in asked(3, context - 9)] == examples[:3]
    assert len(asked(4, context - 30)) == 4
    for limit, room, row in ((3, context - 8, 1), (4, context - 9, 3)):
        with pytest.raises(DataError) as fault:
            asked(limit, room)
        assert fault.value.code == "evaluate.prompt_too_long"
        assert f"Row {row} " in str(fault.value)


def of_set(verdict):
    return {
        "trusted": True,
        **{name: JUDGED[name] for name in ("sentence", "self_test", "answered_as", "notes")},
        "verdict": verdict,
        "rows": 3,
        "clusters": 3,
        "p_holm": None,
    }


@pytest.mark.parametrize(
    ("sets_of_judges", "is_worse"),
    [
        (None, False),  # nobody was asked
        ([[]], False),
        ([["better", "no verdict"]], False),
        ([["better", "worse"]], True),
        ([["better"], ["no difference detectable", "worse"]], True),
        ([["better"], []], False),
    ],
)
def test_one_set_that_one_judge_finds_worse_is_enough(tmp_path, sets_of_judges, is_worse):
    run = RunFolder(tmp_path)
    run.evaluation.mkdir()
    if sets_of_judges is not None:
        judges = {}
        for place, verdicts in enumerate(sets_of_judges):
            sets = {f"set-{number}": of_set(one) for number, one in enumerate(verdicts)}
            judges[f"judge-{place}"] = JUDGED | {"trusted": True, "sets": sets}
        write_json(run.judges, {"format": 2, "protocol_sha256": "beef", "judges": judges})
    assert has_worse_set(run) == is_worse


def test_answers_that_got_worse_are_told_beside_a_preference_that_was_learnt():
    answers = {"verdict": "worse", "sentence": "chrF fell.", "rows": 4}
    found = own_verdict(answers, "better", "It is learnt.", references="chosen")
    assert found["verdict"] == "better"
    assert found["answers"] == {"verdict": "worse", "sentence": "chrF fell."}
    assert found["sentence"].startswith("It is learnt. ")
    assert found["sentence"].endswith("chosen ones: chrF fell.")
    unharmed = own_verdict(answers | {"verdict": "better"}, "better", "It is learnt.", references="chosen")
    assert unharmed["sentence"] == "It is learnt."
