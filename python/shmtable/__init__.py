"""A dict that processes on one machine share, in shared memory, without a server.

>>> from shmtable import SharedDict
>>> results = SharedDict()
>>> results['answer'] = 42
>>> results['answer']
42

Pass it to `multiprocessing.Process`, a pool or a queue, or open it by name from
any program; see `SharedDict`.
"""

from __future__ import annotations

import os
import sys

from shmtable import _native

# Not from `typing`, for which the command would wait; type checkers know it by its name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shmtable import aio as aio


def _is_command() -> bool:
    """Tells whether this process seems to be the command `shmtable`, which needs `_native` alone.

    Without the rest, which takes most of the time of an import, the command starts in half the
    time. A program that only looks like it gets the rest when it uses it.
    """
    program = next(iter(getattr(sys, "argv", ())), "")
    if program == "-m":  # what it is while Python locates the module
        return "shmtable" in sys.orig_argv
    return os.path.basename(program) in ("shmtable", "shmtable.exe")


# Whether the rest is still to be imported, by `__getattr__`.
_deferred = "_deferred" not in globals() and _is_command()

if TYPE_CHECKING or not _deferred:
    # Imported now: a wait must not begin with an import, which may be what it waits for.
    from shmtable import _waiting as _waiting
    from shmtable._dict import SharedDict
    from shmtable._errors import (
        AccessDeniedError,
        AddressSpaceFullError,
        AlreadyExistsError,
        ClosedError,
        CodecError,
        CodecMismatchError,
        ComputeTimeoutError,
        ConflictError,
        CorruptedError,
        DamagedDumpError,
        DeadlockError,
        DescriptorClosedError,
        Error,
        FileTooLargeError,
        IncompatibleFormatError,
        InvalidNameError,
        InvalidOptionError,
        KeyTooLargeError,
        KeyTypeError,
        LockTimeoutError,
        MaxBytesReachedError,
        MissingKeyError,
        NotATableError,
        NotANumberError,
        NotFoundError,
        NotStoredWarning,
        PickleRefusedError,
        ReadOnlyError,
        SharedMemoryFullError,
        SystemCallError,
        TableFullError,
        TooManyFilesError,
        TooManyParticipantsError,
        TooSmallError,
        ValueSpaceFullError,
        ValueTooLargeError,
        ValueTypeError,
        WaitAbandonedError,
        WaitTimeoutError,
        WrongOwnerError,
    )
    from shmtable._missing import MISSING
    from shmtable._native import Claim, Lock
    from shmtable._settings import TableOptions
    from shmtable._stats import Stats
    from shmtable._orphans import gc as gc
    from shmtable._orphans import orphans
    from shmtable._tables import TableInfo, table_infos, tables

__version__: str = _native.version

__all__ = [
    "MISSING",
    "AccessDeniedError",
    "AddressSpaceFullError",
    "AlreadyExistsError",
    "Claim",
    "ClosedError",
    "CodecError",
    "CodecMismatchError",
    "ComputeTimeoutError",
    "ConflictError",
    "CorruptedError",
    "DamagedDumpError",
    "DeadlockError",
    "DescriptorClosedError",
    "Error",
    "FileTooLargeError",
    "IncompatibleFormatError",
    "InvalidNameError",
    "InvalidOptionError",
    "KeyTooLargeError",
    "KeyTypeError",
    "Lock",
    "LockTimeoutError",
    "MaxBytesReachedError",
    "MissingKeyError",
    "NotATableError",
    "NotANumberError",
    "NotFoundError",
    "NotStoredWarning",
    "PickleRefusedError",
    "ReadOnlyError",
    "SharedDict",
    "SharedMemoryFullError",
    "Stats",
    "SystemCallError",
    "TableFullError",
    "TableInfo",
    "TableOptions",
    "TooManyFilesError",
    "TooManyParticipantsError",
    "TooSmallError",
    "ValueSpaceFullError",
    "ValueTooLargeError",
    "ValueTypeError",
    "WaitAbandonedError",
    "WaitTimeoutError",
    "WrongOwnerError",
    # Without `gc`: `from shmtable import *` must not hide the standard library's module.
    "orphans",
    "table_infos",
    "tables",
]


def __getattr__(name: str) -> Any:
    """Imports what a program uses first: `aio`, since asyncio takes a while to import."""
    if name == "aio":
        import shmtable.aio

        return shmtable.aio
    if _deferred and name in [*__all__, "gc"]:
        import importlib

        return getattr(importlib.reload(sys.modules[__name__]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not _deferred:
    # Tracebacks and pickles name the public objects by the module that users import.
    for _name in [*__all__, "gc"]:
        if _name != "MISSING":
            globals()[_name].__module__ = __name__
    del _name
