"""Print the results of training."""

from tutelage.cli.views import console
from tutelage.objectives import load_objective
from tutelage.run.events import StepTaken, Validated
from tutelage.run.folder import RunFolder
from tutelage.stages.train import Trained


def show_trained(trained: Trained, run: RunFolder, kept: Validated | None) -> None:
    """Print the speed and losses of training, and the metrics of the step that is `kept`."""
    progress, settings = trained.progress, trained.settings
    rate, unit = progress.examples / progress.step_seconds, trained.unit
    console.print_message(
        f"{progress.step:,} steps over {progress.examples:,} {unit}, {rate:.1f} {unit} per second."
    )
    if progress.step < trained.planned_steps:
        patience = settings.early_stopping_patience
        console.print_message(
            f"Stopped early, after {progress.step:,} of {trained.planned_steps:,} steps: the validation loss stopped"
            f" improving (training.early_stopping_patience={patience})."
        )
    if progress.loss_before is not None and progress.loss_best is not None:
        console.print_message(
            f"Validation loss {progress.loss_before:.3f} before, {progress.loss_after:.3f} after, best"
            f" {progress.loss_best:.3f} at step {progress.kept_step}, whose weights are in {run.model}."
        )
    figures = (kept.model_extra or {}) if kept is not None else {}
    if figures and (told := load_objective(trained.objective).report.describe_validation(figures)):
        console.print_message(told)


def describe_beside_loss(event: StepTaken | Validated, objective: str) -> str:
    """Describe additional metrics of a step or validation; "" if there are none."""
    figures = event.model_extra or {}
    told = load_objective(objective).report.describe_step(figures) if figures else None
    return "" if told is None else f", {told}"
