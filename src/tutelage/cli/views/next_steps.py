"""Print commands to continue with at the end of a stage, ready to paste."""

from collections.abc import Collection

from tutelage.cli.views import console
from tutelage.config.built_in_data import STARTER
from tutelage.stages.next_steps import steps_of
from tutelage.stages.session import Session


def show_next_steps(session: Session, *, exported: Collection[str] = (), begins_anew: bool = False) -> None:
    """Print the next steps for a run; with `begins_anew`, also how to train on the user's own rows."""
    from tutelage.evaluation.next_steps import NextStep, path_argument

    run = session.run
    if not run.training.exists():
        console.print_message()
        console.verbatim(f"Next: tutelage train {path_argument(run.root)}")
        return
    steps = steps_of(session, exported=exported)
    if begins_anew and session.recipe.data.source == STARTER:
        mine = path_argument(run.root.parent / "mine")
        steps.append(NextStep("Fine-tune on your own rows", f"tutelage run --data my.json --output {mine}"))
    console.print_message()
    console.heading("Next steps")
    for step in steps:
        console.print_message(f"{step.about}:")
        console.verbatim(f"  {step.command}")
