"""Add one instruction, `data.instruction`, to all rows."""

from dataclasses import replace

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.named_rows import NamedRows
from tutelage.data.rows.reading import NOTHING
from tutelage.data.rows.records import Record
from tutelage.errors import DataError

FIELD = "instruction"
FORMATS = ("alpaca", "preference")
OTHER_PROMPTS = ("prompt", "question")  # in preference rows


class InstructedRows:
    """Adds the instruction to rows, and collects rows that have their own or no place for it."""

    def __init__(self, source: str, settings: DataSettings) -> None:
        self._source, self._instruction = source, settings.instruction
        self._unfit = NamedRows()

    def with_instruction(self, record: Record) -> Record:
        """Return the record with the instruction added, or replacing an empty one."""
        if record.value.get(FIELD) not in NOTHING:
            self._unfit.add(record)
            return record
        rest = {key: value for key, value in record.value.items() if key != FIELD}
        return replace(record, value={FIELD: self._instruction, **rest})

    def note(self, record: Record, format: str) -> None:
        """Record a row with the instruction and its detected format."""
        has_other = any(record.value.get(name) not in NOTHING for name in OTHER_PROMPTS)
        if format not in FORMATS or (format == "preference" and has_other):
            self._unfit.add(record)

    def check(self) -> None:
        """Raise DataError if the instruction would have no effect on some rows."""
        if self._unfit.count:
            raise DataError(
                "data.instruction_not_used",
                f"{self._source}: {self._unfit} with its own instruction, or no place for data.instruction."
                " data.instruction needs rows with an input and an output: name them with --map input=NAME"
                " --map output=NAME, or leave data.instruction out.",
                row=self._unfit.first.row,
            )
