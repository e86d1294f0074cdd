"""What is said is that of every model that writes answers."""

from tutelage.objectives.sft.report import REPORT

__all__ = ["REPORT"]
