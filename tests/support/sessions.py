"""What a test needs of a session, and events as it compares them."""

from tutelage.config.recipe_file import load
from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter
from tutelage.stages.session import Session


def locate(loaded, **options):
    """Return the base model of a recipe."""
    return Inputs(loaded, Reporter()).locate(**options)


def trained_in(run, loaded=None):
    """Return the model of a run as a stage serves it, by the run's own recipe unless another is loaded."""
    return Session(run, loaded or load(run.recipe, {}, [])).trained_on_same_base()


def as_pair(event):
    """Return the name and the fields of an event."""
    fields = event.to_record()
    return fields.pop("event"), fields
