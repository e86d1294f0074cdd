"""The options for judges."""

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class JudgeOptions:
    """The options of commands that can have judges score the answers."""

    _: KW_ONLY
    judge: Annotated[
        tuple[str, ...],
        Parameter(
            help="A model that scores the answers: ollama:MODEL, openai:MODEL@URL or gguf:PATH. Repeatable.",
            negative="",
            show_default=False,
        ),
    ] = ()
    labels: Annotated[
        str | None,
        Parameter(help="JSON or JSONL file of human scores to validate the judges with."),
    ] = None

    def overrides(self) -> dict[str, Any]:
        given = {
            "--judge evaluation.judges": list(self.judge) or None,
            "--labels evaluation.labels": self.labels,
        }
        return {name: value for name, value in given.items() if value is not None}
