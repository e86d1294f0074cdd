"""`tutelage train`: stage 2."""

from tutelage.cli.options import AllowChanges, TrainingOptions
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.stages.train import check_training
from tutelage.stages.train import train as train_run


def train(
    options: TrainingOptions = TrainingOptions(),  # noqa: B008 - frozen
    *,
    allow_changes: AllowChanges = False,
) -> None:
    """Fine-tune the model on the prepared rows of a run.

    The best weights are kept. An unfinished training resumes where it stopped.
    """
    with earlier_session(options) as session:
        run = session.run
        if options.dry_run:
            show_dry_run(
                session,
                training=check_training(session),
                writes=[run.recipe, run.events, run.environment, run.checkpoints, run.model],
                guarded=[run.model],
                removes=run.results_of_other_weights() if options.overwrite or run.model.exists() else (),
            )
            return
        train_run(session, overwrite=options.overwrite, allow_changes=allow_changes)
        show_next_steps(session)
