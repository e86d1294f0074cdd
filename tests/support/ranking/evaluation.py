"""The evaluation is that of every model that writes answers."""

from tutelage.objectives.sft.evaluation import EVALUATION

__all__ = ["EVALUATION"]
