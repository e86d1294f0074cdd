"""What the tests of metrics that need a run begin with."""

from support.workplace import model, tutelage

__all__ = ["model", "tutelage"]
