"""A dict that processes on one machine share, in shared memory, without a server.

>>> from shmtable import SharedDict
>>> results = SharedDict()
>>> results['answer'] = 42
>>> results['answer']
42

Pass it to `multiprocessing.Process`, a pool or a queue, or open it by name from
any program; see `SharedDict`.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from shmtable import _native

# Imported now: a wait must not begin with an import, which may be what it waits for.
from shmtable import _waiting as _waiting
from shmtable._dict import SharedDict, tables
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

if TYPE_CHECKING:
    from shmtable import aio as aio

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
    "tables",
]


def __getattr__(name: str) -> ModuleType:
    """Imports `shmtable.aio` when a program first uses it: asyncio takes a while to import."""
    if name != "aio":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import shmtable.aio

    return shmtable.aio


# Tracebacks and pickles name the public objects by the module that users import.
for _name in [*__all__, "gc"]:
    if _name != "MISSING":
        globals()[_name].__module__ = __name__
del _name
