"""What a test needs of a session, and events as it compares them."""

from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter


def locate(loaded, **options):
    """Return the base model of a recipe."""
    return Inputs(loaded, Reporter()).locate(**options)


def as_pair(event):
    """Return the name and the fields of an event."""
    fields = event.to_record()
    return fields.pop("event"), fields
