"""`tutelage prepare`: stage 1."""

from tutelage.cli.options import NewRunOptions
from tutelage.cli.sessions import new_session
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.stages.prepare import prepare as prepare_run
from tutelage.stages.prepare import prepare_local


def prepare(options: NewRunOptions = NewRunOptions()) -> None:  # noqa: B008 - frozen
    """Read, check, split and tokenize the data."""
    with new_session(options) as session:
        run = session.run
        if options.dry_run:
            prepared = prepare_local(session.inputs, session.reporter)  # rejects what the real command would
            show_dry_run(
                session,
                writes=[run.recipe, run.data],
                guarded=[run.data],
                removes=run.results_of_other_data(),
                training=prepared and prepared.splits["train"],
            )
            return
        prepare_run(session, overwrite=options.overwrite)
        show_next_steps(session)
