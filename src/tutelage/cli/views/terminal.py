"""Print the events that stages report."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, Self

from tutelage.cli.views import console
from tutelage.cli.views.estimate import show_estimate
from tutelage.cli.views.judges import show_judges
from tutelage.cli.views.preparation import show_preparation
from tutelage.cli.views.results import show_evaluation
from tutelage.cli.views.training import describe_beside_loss, show_trained
from tutelage.codes import Message
from tutelage.config.objectives import DEFAULT
from tutelage.run import events
from tutelage.run.folder import RunFolder
from tutelage.system.streams import losing_lines

HEADINGS = {"prepare": "1 Prepare", "train": "2 Tune", "evaluate": "3 Evaluate"}
SKIPPED = {
    "prepare": "The rows in {} are already prepared from the same data, model, prompt and settings.",
    "train": "The model in {} is already trained.",
}
# Work of unknown total gets a bar only beyond this; rendering this many rows takes about two seconds.
DONE_WITHOUT_A_BAR = 5_000
# Warnings with these prefixes go to stderr, because stdout may be read by another program.
ASIDE = ("model.", "device.")
TRAINING = "Training"
Before = Mapping[str, Callable[[RunFolder], None]]
NOTHING: Before = MappingProxyType({})


class Terminal:
    """A listener that prints headings, progress bars, messages, and the results of each stage.

    `before` functions print something about the run before a stage starts. With `is_quiet`, stdout belongs to
    another program: warnings go to stderr, and notes and bars are left out. Use it as a context manager, which
    ends the last bar.
    """

    def __init__(
        self,
        run: RunFolder | None = None,
        *,
        before: Before = NOTHING,
        is_quiet: bool = False,
    ) -> None:
        self._run = run
        self._before = before
        self._is_quiet = is_quiet
        self._is_first = True
        self._shown = ExitStack()
        self._label: str | None = None  # of the current bar
        self._advance: console.Advance = lambda steps, detail="": None
        self._done = 0
        self._steps = self._step = 0  # of training: planned steps, and steps done before
        self._objective = DEFAULT.name  # of training
        self._losing = ExitStack()
        self._validation = ""
        self._validations: dict[int, events.Validated] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._clear()
        self._losing.close()

    def __call__(self, event: events.Event) -> None:
        """Print an event if it is of interest."""
        show = getattr(self, f"_on_{event.event}", None)
        if show is not None and not (self._is_quiet and isinstance(event, events.Waiting | events.Advanced)):
            show(event)

    def _on_stage_started(self, event: events.StageStarted) -> None:
        self._clear()
        if self._run is not None and (before := self._before.get(event.stage)):
            before(self._run)
        if event.stage in HEADINGS:
            if not self._is_first:
                console.print_message()
            console.heading(HEADINGS[event.stage])
        elif event.stage == "judge":
            if self._is_first:
                console.heading("3 Evaluate: the answers exist, running only the judges")
            console.print_message()
        self._is_first = False

    def _on_stage_failed(self, event: events.StageFailed) -> None:
        self._clear()
        self._losing.close()

    def _on_stage_skipped(self, event: events.StageSkipped) -> None:
        if not self._is_first:
            console.print_message()
        self._is_first = False
        console.heading(HEADINGS[event.stage])
        console.print_message(SKIPPED[event.stage].format(event.path))

    def _on_stage_finished(self, event: events.StageFinished) -> None:
        self._clear()
        self._losing.close()
        show = getattr(self, f"_finish_{event.stage}", None)
        if show is not None:
            show(event.result)

    def _finish_prepare(self, result: Any) -> None:
        if self._run is not None:
            console.print_message(f"Written to {self._run.data}")

    def _finish_train(self, result: Any) -> None:
        assert self._run is not None, "training needs a run"
        show_trained(result, self._run, self._validations.get(result.progress.kept_step))

    def _finish_evaluate(self, result: Any) -> None:
        show_evaluation(result)

    def _finish_judge(self, result: Any) -> None:
        console.print_message()
        show_judges(result.judges)

    def _finish_report(self, result: Any) -> None:
        console.print_message(f"Report: {result.page}")

    def _on_message(self, event: events.Message) -> None:
        if event.level == "note":
            if not self._is_quiet:
                console.note(event.code, event.text)
        elif self._is_quiet or event.code.startswith(ASIDE):
            console.warn_aside(Message(event.code, event.text))
        else:
            console.warn(Message(event.code, event.text))

    def _on_cost(self, event: events.CostReported) -> None:
        self._clear()
        console.print_message(event.text)

    def _on_waiting(self, event: events.Waiting) -> None:
        self._wait(event.label)

    def _on_locating_model(self, event: events.LocatingModel) -> None:
        self._wait(event.label, aside=True)

    def _on_waited(self, event: events.Waited) -> None:
        self._clear()

    def _on_advanced(self, event: events.Advanced) -> None:
        if event.total is None and event.done < DONE_WITHOUT_A_BAR:
            return
        if event.label != self._label:
            self._show_bar(event.label, event.total)
        self._move(event.done)
        if event.done == event.total:
            self._clear()

    def _on_prepared(self, event: events.Prepared) -> None:
        self._clear()
        show_preparation(event.preparation)

    def _on_resumed(self, event: events.Resumed) -> None:
        console.print_message(f"Resuming after step {event.step}, from {event.checkpoint}.")
        for change in event.allowed:
            console.print_message(f"Changed since then, and allowed: {change}.")

    def _on_changes_allowed(self, event: events.ChangesAllowed) -> None:
        for change in event.allowed:
            console.print_message(f"Changed since the rows were prepared, and allowed: {change}.")

    def _on_training_planned(self, event: events.TrainingPlanned) -> None:
        self._losing.enter_context(losing_lines())
        self._objective = event.objective
        self._steps, self._step = event.steps, min(event.step, event.steps)
        console.print_message(f"{event.steps:,} steps in {event.dtype} on {event.device}.")

    def _on_estimate(self, event: events.Estimated) -> None:
        show_estimate(event)
        if event.step:  # a resumed training does not validate before its next step
            self._show_training()

    def _on_step(self, event: events.StepTaken) -> None:
        self._show_training()
        self._step = event.step
        self._move(
            event.step,
            f"loss {event.loss:.3f}{describe_beside_loss(event, self._objective)}{self._validation}",
        )

    def _on_validation(self, event: events.Validated) -> None:
        self._show_training()
        self._validation = f"  validation {event.loss:.3f}{describe_beside_loss(event, self._objective)}"
        self._validations[event.step] = event

    def _on_memory(self, event: events.TreesShrunk) -> None:
        console.note(
            "train.smaller_trees",
            f"step {event.step} did not fit into memory. From now on, examples are computed in trees of at"
            f" most {event.max_nodes:,} tokens; the batch stays the same.",
        )

    def _on_unsaved(self, event: events.CheckpointNotSaved) -> None:
        told = f"no checkpoint of step {event.step}: {event.reason} Training continues."
        console.warn(Message("run.checkpoint_not_saved", told))

    def _show_training(self) -> None:
        if self._label != TRAINING:
            self._show_bar(TRAINING, self._steps)
            self._move(self._step)

    def _show_bar(self, label: str, total: int | None) -> None:
        self._clear()
        self._label, self._done = label, 0
        self._advance = self._shown.enter_context(console.progress(label, total))

    def _move(self, done: int, detail: str = "") -> None:
        self._advance(done - self._done, detail)
        self._done = done

    def _wait(self, label: str, *, aside: bool = False) -> None:
        self._clear()
        self._shown.enter_context(console.waiting(label, aside=aside))

    def _clear(self) -> None:
        self._shown.close()
        self._label = None
