"""What is exported is that of every model that writes answers."""

from tutelage.objectives.sft.export import EXPORT

__all__ = ["EXPORT"]
