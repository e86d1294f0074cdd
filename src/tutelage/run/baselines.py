"""What an evaluation of answers found of its baselines."""

from pydantic import Field

from tutelage.run.artifacts import Note
from tutelage.run.figures import PairedFigures
from tutelage.run.validation import Record


class BaselineFigures(Record):
    """The mean score of a baseline by the primary metric, with its 95 % interval on the test rows it answered."""

    label: str
    prompt_template: str | None = None  # null where no model answers
    examples: int | None = None  # before each question, at most
    validation: float | None = None
    rows: int
    value: float
    low: float | None
    high: float | None

    @property
    def title(self) -> str:
        """The baseline as a table names it."""
        return self.label if self.prompt_template is None else f"base model, {self.label}"


class BaselinesFound(Record):
    """All baselines, and which of them the verdict compares with; `base` is the base model in the run's prompt."""

    strongest: str
    against: str  # the strongest one in words
    validation_rows: int  # that the strongest one was chosen on; 0 where there were too few
    figures: dict[str, BaselineFigures]
    tuned: BaselineFigures | None = None  # the fine-tuned model beside them
    left_out: dict[str, Note] = Field(default_factory=dict)
    difference: PairedFigures | None = (
        None  # from the strongest one, if it is not the base model in the same prompt
    )

    @property
    def notes(self) -> list[str]:
        """What is said of baselines that are left out, or of a choice that could not be made."""
        return [
            f"{one.message[:1].upper()}{one.message[1:]}"
            if name == "base"
            else f"The baseline {name} was left out: {one.message}"
            for name, one in self.left_out.items()
        ]
