"""Stages called from a program: what they return and report, what stands in the log, and that nothing is printed."""

import errno
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from support.rows import alpaca_values, write_rows
from support.sessions import as_pair

from tutelage.cli.views.terminal import TRAINING, Terminal
from tutelage.codes import Code, all_codes
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import FOUND_BY_HASH, PLACE_OF_WORK, TOLD, to_toml, walk
from tutelage.data.quality.rules import Finding
from tutelage.errors import DataError, Interrupted, RunFolderError, StorageError
from tutelage.run import event_log, events
from tutelage.run.folder import write_text
from tutelage.run.lines import read_json_lines
from tutelage.stages.check import what_stops
from tutelage.stages.data.rows import read_rows
from tutelage.stages.evaluate import evaluate
from tutelage.stages.export import export
from tutelage.stages.prepare import prepare
from tutelage.stages.report import report
from tutelage.stages.run import run_all
from tutelage.stages.settings import check_trained_settings
from tutelage.stages.train import train


def stages(records):
    """Return the beginnings and ends of stages, in order."""
    return [
        (record["event"].removeprefix("stage_"), record["stage"])
        for record in records
        if record["event"].startswith("stage_")
    ]


def logged(session):
    return read_json_lines(session.run.events)


def heard(session):
    return [event.to_record() for event in session.heard]


def stop_after(session, step):
    """Ask a training to end once it has finished a step."""

    def listen(event):
        if isinstance(event, events.StepTaken) and event.step == step:
            session.interruption.requested = True

    session.reporter._listener = listen


WHOLE = [
    (what, stage) for stage in ("prepare", "train", "evaluate", "report") for what in ("started", "finished")
]


def test_a_run_reports_each_stage_in_the_log_and_prints_nothing(session_on, capfd):
    session = session_on()
    outcome = run_all(session)
    assert capfd.readouterr() == ("", "")
    assert stages(logged(session)) == stages(heard(session)) == WHOLE
    assert outcome.evaluation.verdict in ("better", "worse", "no difference detectable", "no verdict")
    assert outcome.is_trusted
    assert outcome.reported.page == session.run.report
    assert outcome.reported.summary.rows.test == 4 or outcome.reported.summary.rows.test > 0
    # The log is what listeners heard, but for what only they can use, and for what advances all the time.
    kept = [record for record in heard(session) if record["event"] not in ("waited", "advanced")]
    assert [record for record in logged(session) if record["event"] != "advanced"] == kept


def test_stages_one_by_one_make_the_log_of_a_run(session_on):
    for stage in (prepare, train, evaluate):
        last = session_on()
        stage(last)
    assert stages(logged(last)) == WHOLE
    report(session_on())
    assert stages(logged(last)) == [*WHOLE, ("started", "report"), ("finished", "report")]


def test_results_are_typed_and_reach_listeners(session_on):
    session = session_on()
    preparation = prepare(session)
    [finished] = [event for event in session.heard if isinstance(event, events.StageFinished)]
    assert finished.result == preparation
    trained = train(session)
    assert (trained.progress.step, trained.planned_steps, trained.result.steps) == (4, 4, 4)
    steps = [event.step for event in session.heard if isinstance(event, events.StepTaken)]
    assert steps == [1, 2, 3, 4]
    assert [fields["step"] for name, fields in map(as_pair, session.heard) if name == "validation"] == [
        0,
        2,
        4,
    ]


def test_a_preparation_that_fails_leaves_nothing_of_a_new_run(session_on):
    session = session_on(data__max_length=8)
    with pytest.raises(DataError):
        prepare(session)
    assert not session.run.root.exists()
    failed = session.heard[-1]
    assert isinstance(failed, events.StageFailed)
    assert failed.stage == "prepare"
    assert failed.code.startswith("data.")


def test_a_run_that_cannot_begin_leaves_the_log_of_the_earlier_one(finished, session_on):
    before = finished.run.events.read_bytes()
    with pytest.raises(DataError):
        run_all(session_on(data__max_length=8), overwrite=True)
    assert finished.run.events.read_bytes() == before


def test_a_new_training_takes_the_place_of_the_earlier_one_in_the_log(finished, session_on):
    train(session_on(), overwrite=True)
    assert stages(logged(finished)) == WHOLE[:4]
    prepare(session_on(), overwrite=True)
    assert stages(logged(finished)) == WHOLE[:2]


def test_a_preparation_with_accepted_changes_stays_in_the_log_of_the_training_that_goes_on(session_on):
    session = session_on()
    prepare(session)
    stop_after(session, 2)
    with pytest.raises(Interrupted):
        train(session)
    run_all(session_on(data__prompt_template="phi3"), allow_changes=True)
    records = logged(session)
    assert [stage for what, stage in stages(records) if what == "started"] == [
        *("prepare", "train", "prepare", "train", "evaluate", "report")
    ]
    assert [record["step"] for record in records if record["event"] == "step"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe", b"7\n", b'{"event": "stage_started", "stage": "prepare"}\n{"event": 1']
)
def test_a_damaged_log_does_not_stop_a_new_training(finished, session_on, damage):
    finished.run.events.write_bytes(damage)
    trained = train(session_on(), overwrite=True)
    assert trained.result.steps == 4
    assert stages(logged(finished))[-2:] == WHOLE[2:4]


def test_rows_that_are_prepared_already_are_left_as_they_are(session_on):
    session = session_on()
    first = prepare(session)
    again = session_on()
    assert prepare(again) == first
    assert [event.event for event in again.heard if event.event.startswith("stage_")] == ["stage_skipped"]
    with pytest.raises(RunFolderError, match="with different") as refused:
        prepare(session_on(data__prompt_template="alpaca"))
    assert refused.value.code == "run.settings_changed"


@pytest.mark.parametrize("table", Recipe.model_fields)
def test_a_trained_model_answers_under_no_other_table_than_that_of_the_evaluation(session_on, table):
    session = session_on()
    write_text(session.run.trained_recipe, to_toml(session.recipe))
    write_text(session.run.training, "{}")
    free = (*PLACE_OF_WORK, *TOLD, *FOUND_BY_HASH)
    names = [name for name, _, _ in walk(session.recipe) if name.startswith(f"{table}.") and name not in free]
    assert names
    for name in names:
        key = name.partition(".")[2]
        settings = getattr(session.recipe, table).model_copy(update={key: "changed"})
        changed = SimpleNamespace(run=session.run, recipe=session.recipe.model_copy(update={table: settings}))
        with nullcontext() if table == "evaluation" else pytest.raises(RunFolderError, match=name) as refused:
            check_trained_settings(changed)
        assert refused is None or refused.value.code == "run.settings_changed"


def test_a_training_that_is_interrupted_goes_on_in_the_log_from_its_checkpoint(session_on):
    session = session_on()
    prepare(session)

    stop_after(session, 2)
    with pytest.raises(Interrupted):
        train(session)
    assert stages(logged(session))[-1] == ("failed", "train")
    assert logged(session)[-1]["code"] == "run.interrupted"
    again = session_on()
    trained = train(again)
    assert trained.result.resumed == [2]
    records = logged(again)
    assert [record["step"] for record in records if record["event"] == "step"] == [1, 2, 3, 4]
    resumed = [record for record in records if record["event"] == "resumed"]
    assert [record["step"] for record in resumed] == [2]


def test_a_listener_of_a_program_may_be_in_a_thread(session_on):
    """Nothing of a run needs the main thread, where alone signals can be heard."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(lambda: run_all(session_on())).result()
    assert outcome.reported.page.exists()


@pytest.mark.parametrize(
    ("column", "code"), [("rejected", "data.rejected_not_used"), ("label", "data.label_not_used")]
)
def test_a_column_that_is_not_trained_on_is_an_event_and_shown_once(
    session_on, tmp_path, column, code, capsys
):
    rows = [{**value, column: "other"} for value in alpaca_values(80)]
    session = session_on(data__source=str(write_rows(tmp_path / "column.json", rows)))
    prepare(session)
    heard = [
        event for event in session.heard if isinstance(event, events.Message) and event.level == "warning"
    ]
    assert [event.code for event in heard] == [code]
    assert [line["code"] for line in read_json_lines(session.run.events) if line["event"] == "message"] == [
        code
    ]
    with Terminal(session.run) as terminal:
        for event in session.heard:
            terminal(event)
    shown = "".join(capsys.readouterr())
    assert shown.count(f"[{code}]") == 1


@pytest.mark.parametrize("marks", [{}, {"warns": True}, {"about_training": True}])
def test_the_table_of_codes_alone_says_what_is_warned_of_and_what_is_about_training(
    session_on, tmp_path, monkeypatch, marks
):
    """So that a code of a new objective is declared there and nowhere else."""
    monkeypatch.setitem(all_codes(), "data.field_not_used", Code("A field is not read.", 23, **marks))
    rows = [{**value, "colour": "red"} for value in alpaca_values(80)]
    session = session_on(data__source=str(write_rows(tmp_path / "colour.json", rows)))
    notes = [note.code for note in read_rows(session.inputs).notes]
    assert ("data.field_not_used" in notes) == ("about_training" not in marks)
    prepare(session)
    warned = [event.code for event in session.heard if isinstance(event, events.Message)]
    assert warned == (["data.field_not_used"] if "warns" in marks else [])


def test_a_finding_stops_if_the_table_of_codes_says_so():
    found = SimpleNamespace(findings=[Finding(code, None, "told") for code in all_codes()])
    assert what_stops(found) == sorted(code for code, entry in all_codes().items() if entry.stops)
    assert {"data.empty_split", "data.single_label"} <= {*what_stops(found)}
    assert not {"data.similar_labels", "data.rejected_not_used"} & {*what_stops(found)}


@pytest.mark.usefixtures("few_prompts", "in_this_process")
def test_an_export_is_a_stage_in_the_log_and_for_listeners(finished, session_on, tmp_path):
    before = len(logged(finished))
    exporting = session_on()
    [exported] = export(exporting, ["peft"], output=tmp_path / "taken")
    own = [("started", "export"), ("finished", "export")]
    assert stages(logged(finished)[before:]) == stages(heard(exporting)) == own
    [ended] = [event for event in exporting.heard if isinstance(event, events.StageFinished)]
    assert ended.result == [exported]
    with pytest.raises(RunFolderError):
        export(session_on(), ["peft"], output=tmp_path / "taken")
    assert stages(logged(finished)[before:]) == own, "an export that is refused adds nothing"


@pytest.mark.parametrize("stage", [report, evaluate])
def test_a_log_that_cannot_be_opened_is_one_error_with_a_code(session_on, stage, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    session = session_on()
    prepare(session)
    train(session)
    monkeypatch.setattr(event_log, "bytes_of_whole_lines", refuse)
    with pytest.raises(StorageError) as refused:
        stage(session_on())
    assert (refused.value.code, refused.value.path) == ("storage.write_failed", session.run.events)


def test_a_training_that_goes_on_shows_its_bar_before_the_next_step(session_on, monkeypatch):
    first = session_on(training__max_steps=6)
    prepare(first)
    stop_after(first, 3)
    with pytest.raises(Interrupted):
        train(first)
    second = session_on(training__max_steps=6)
    train(second)
    is_step = [isinstance(event, events.StepTaken) for event in second.heard]
    bars = []
    monkeypatch.setattr(Terminal, "_show_bar", lambda self, label, total: bars.append((label, total)))
    with Terminal(second.run) as terminal:
        for event in second.heard[: is_step.index(True)]:
            terminal(event)
    assert (TRAINING, 6) in bars


@pytest.mark.parametrize(
    ("objective", "told"), [("dpo", ", 75% right"), ("kto", ""), ("instruction", ""), ("classification", "")]
)
def test_beside_the_loss_of_a_step_stand_the_words_of_its_objective(session_on, monkeypatch, objective, told):
    """An objective that calls a figure of its own the accuracy is not said to be right."""
    details = []
    monkeypatch.setattr(Terminal, "_show_bar", lambda self, label, total: None)
    monkeypatch.setattr(Terminal, "_move", lambda self, done, detail="": details.append(detail))
    plan = events.TrainingPlanned(steps=2, step=0, dtype="float32", device="cpu", objective=objective)
    assert "objective" not in plan.to_record()
    with Terminal(session_on().run) as terminal:
        terminal(plan)
        terminal(events.Validated(step=0, loss=0.5, accuracy=0.75))
        terminal(events.StepTaken(step=1, epoch=0.5, learning_rate=0.1, loss=0.25, accuracy=0.75))
    assert details[-1] == f"loss 0.250{told}  validation 0.500{told}"
