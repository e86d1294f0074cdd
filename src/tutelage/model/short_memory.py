"""Retry work in smaller parts when memory runs out; results change only by rounding."""

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
    """Process all items at once, or in halves if that runs out of memory.

    Failed work must leave nothing behind. Raise MemoryExhaustedError if a single item does not fit.
    """
    try:
        work(items)
        return
    except (MemoryError, RuntimeError) as fault:
        raise_if_smallest(fault, is_smallest=len(items) == 1, what="one row")
    release_memory()  # outside the handler: there, the exception would keep the failed work's memory alive
    middle = len(items) // 2
    in_parts(items[:middle], work)
    in_parts(items[middle:], work)


def in_smaller_batches(
    work: Callable[[int], Result], size: int, *, what: str, way_out: str = WAY_OUT
) -> Result:
    """Run `work(size)`, and halve the batch size until it fits in memory."""
    while True:
        try:
            return work(size)
        except (MemoryError, RuntimeError) as fault:
            raise_if_smallest(fault, is_smallest=size <= 1, what=what, way_out=way_out)
        release_memory()
        size //= 2


def raise_if_smallest(fault: BaseException, *, is_smallest: bool, what: str, way_out: str = WAY_OUT) -> None:
    """Re-raise a fault that is not about memory; raise MemoryExhaustedError if nothing smaller can be tried."""
    if not is_out_of_memory(fault):
        raise fault
    if is_smallest:
        raise MemoryExhaustedError(
            "device.out_of_memory", f"Out of memory for {what} ({first_line(fault)}). {way_out}."
        ) from None


def release_memory() -> None:
    """Free memory that is no longer referenced."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(fault: BaseException) -> str:
    """Return the first line of an exception's message, without a final period."""
    return (str(fault) or type(fault).__name__).split("\n")[0].rstrip(".")
