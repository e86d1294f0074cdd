"""A fourth objective: answers that are unwanted become less probable, from their prompt to a section of the report.

It stands outside of the program, which finds it by three entries: its settings, its package, and its row format.
"""

from tutelage.config.effects import WITHOUT_LABELS
from tutelage.config.objectives import ObjectiveInfo
from tutelage.data.formats.schemas import Schema
from tutelage.data.formats.sides import read_completion, read_prompt
from tutelage.data.rows.conversations import Turn
from tutelage.data.rows.reading import Reading, Value

INFO = ObjectiveInfo(
    name="unlikelihood",
    task="unlikelihood training",
    help="makes unwanted answers less probable",
    loss_unit="nats per token",
    row_format="prompt-unwanted",
    inactive=WITHOUT_LABELS,
    refused={"data.loss_on": ("everything",)},
)


def read_unwanted(value: Value, reading: Reading) -> tuple[Turn, ...]:
    """Return a prompt and its unwanted answer as turns."""
    return read_completion(value, "unwanted", read_prompt(value, "prompt", reading), reading)


SCHEMA = Schema(("prompt", "unwanted"), (), read_unwanted)
