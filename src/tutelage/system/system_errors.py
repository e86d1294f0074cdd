"""What the operating system refused, as libraries in Python, Rust and C++ pass it on."""

import errno
import os
import re

from tutelage.errors import TutelageError

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last is a limit of the size of one file
# Of a library's fault only these are read; others may be about a file that it tried to find.
OF_WRITING = (*OUT_OF_SPACE, errno.EIO, errno.EROFS)
# How the standard library of Rust, and Arrow, tell of an error of the system.
OF_THE_SYSTEM = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]")
# How allocators, loaders of libraries and starters of threads tell, in several languages, that the memory is short.
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
# What oneDNN says then; of a descriptor it says so where it has no kernel.
OF_ONEDNN = re.compile(r"could not create a primitive(?! descriptor)")


def system_refusal(fault: BaseException) -> OSError | None:
    """Return the system's own error that a fault is or tells of, None where it is another fault."""
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
    """Tell whether a library's words say that no more memory is to be had."""
    return any(words in text for words in OF_SHORT_MEMORY) or OF_ONEDNN.search(text) is not None


def is_short_of_memory(fault: BaseException | None) -> bool:
    """Tell whether a fault, or one that it was raised from, says that no more memory is to be had."""
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
