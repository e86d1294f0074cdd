"""Imports of modules that take seconds, ahead of their use."""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module


def import_modules(names: Sequence[str]) -> None:
    """Import modules."""
    for name in names:
        import_module(name)


def import_quickly(names: Sequence[str]) -> None:
    """Import modules without a search for cycles among what they hold, which stays; it takes a seventh of the time.

    For a process of our own: the garbage collector no longer looks at anything that exists by then.
    """
    if all(name in sys.modules for name in names):
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import_modules(names)
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
