"""Recognize operating system errors in exceptions from Python, Rust and C++ libraries."""

import errno
import os
import re

from tutelage.errors import TutelageError

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # EFBIG: the limit on the size of a file
# Only these are accepted as causes; other errors may be about a file that a library tried to find.
OF_WRITING = (*OUT_OF_SPACE, errno.EIO, errno.EROFS)
# How Rust's standard library, and Arrow, report system errors.
OF_THE_SYSTEM = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]")
# How allocators, library loaders and thread starters report a lack of memory.
OF_SHORT_MEMORY = (
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "bad allocation",
    "bad_alloc",
    "memory allocation of",
    "out of memory",
    "failed to map segment",
    "can't start new thread",
    "MemoryError",
)
# oneDNN's message for it; "primitive descriptor" means that there is no kernel.
OF_ONEDNN = re.compile(r"could not create a primitive(?! descriptor)")


def system_refusal(fault: BaseException) -> OSError | None:
    """Return the system error that an exception is or mentions, or None."""
    if isinstance(fault, OSError):
        return fault
    if isinstance(fault, TutelageError):
        return None
    said = str(fault)
    cause, number = fault.__cause__, OF_THE_SYSTEM.search(said)
    if isinstance(cause, OSError) and cause.errno in OF_WRITING:
        return cause
    told = int(number[1] or number[2]) if number else None
    code = told if told in OF_WRITING else next((one for one in OF_WRITING if os.strerror(one) in said), None)
    return None if code is None else OSError(code, os.strerror(code))


def is_memory_message(text: str) -> bool:
    """Return whether a library's message means that memory has run out."""
    return any(words in text for words in OF_SHORT_MEMORY) or OF_ONEDNN.search(text) is not None


def is_short_of_memory(fault: BaseException | None) -> bool:
    """Return whether an exception, or one that caused it, means that memory has run out."""
    while fault is not None:
        if isinstance(fault, MemoryError) or (isinstance(fault, OSError) and fault.errno == errno.ENOMEM):
            return True
        if isinstance(fault, (RuntimeError, ImportError)) and is_memory_message(str(fault)):
            return True
        number = None if isinstance(fault, TutelageError) else OF_THE_SYSTEM.search(str(fault))
        if number is not None and int(number[1] or number[2]) == errno.ENOMEM:
            return True
        fault = fault.__cause__ or fault.__context__
    return False
