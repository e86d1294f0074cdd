"""Fine-tune a small language model on your own data, and learn honestly whether it got better.

import tutelage

run = tutelage.finetune("my.json", output="runs/mine", learning_rate=5e-4)
print(run.verdict, run.metrics["chrf"].difference)
print(run.load().generate("Give the plural of cactus."))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tutelage.version import __version__

if TYPE_CHECKING:
    from tutelage import errors
    from tutelage.api import Run, compare, events, finetune

__all__ = ["Run", "__version__", "compare", "errors", "events", "finetune"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that importing the package costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "errors":
        return import_module("tutelage.errors")
    return getattr(import_module("tutelage.api"), name)


def __dir__() -> list[str]:
    return __all__
