"""Where the memory is short: the same work again in smaller parts, which changes no result but its rounding."""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from tutelage.errors import MemoryExhaustedError
from tutelage.system.runtime import is_out_of_memory

Item = TypeVar("Item")
Result = TypeVar("Result")

WAY_OUT = (
    "Close other programs, lower data.max_length or evaluation.max_new_tokens, or choose a smaller model"
)


def in_parts(items: Sequence[Item], work: Callable[[Sequence[Item]], None]) -> None:
    """Do the work on all items at once, or where the memory does not hold that, on one half after the other.

    What fails has left nothing behind. MemoryExhaustedError where one item alone is too much.
    """
    try:
        work(items)
        return
    except (MemoryError, RuntimeError) as fault:
        raise_if_smallest(fault, is_smallest=len(items) == 1, what="one row")
    release_memory()  # outside the handler, where the fault no longer holds what the failed work had allocated
    middle = len(items) // 2
    in_parts(items[:middle], work)
    in_parts(items[middle:], work)


def in_smaller_batches(
    work: Callable[[int], Result], size: int, *, what: str, way_out: str = WAY_OUT
) -> Result:
    """Do the work with batches of a size, halved until the memory holds them."""
    while True:
        try:
            return work(size)
        except (MemoryError, RuntimeError) as fault:
            raise_if_smallest(fault, is_smallest=size <= 1, what=what, way_out=way_out)
        release_memory()
        size //= 2


def raise_if_smallest(fault: BaseException, *, is_smallest: bool, what: str, way_out: str = WAY_OUT) -> None:
    """Raise a fault that is not of the memory, and MemoryExhaustedError where nothing smaller is left to try."""
    if not is_out_of_memory(fault):
        raise fault
    if is_smallest:
        raise MemoryExhaustedError(
            "device.out_of_memory", f"Out of memory for {what} ({first_line(fault)}). {way_out}."
        ) from None


def release_memory() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(fault: BaseException) -> str:
    """Return what a fault says, in one line without its full stop."""
    return (str(fault) or type(fault).__name__).split("\n")[0].rstrip(".")
