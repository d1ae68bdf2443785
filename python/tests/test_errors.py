"""Is each error also the builtin exception that fits, and is nothing changed after it?"""

from __future__ import annotations

import errno
import os
import pickle
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import Error, FileTooLargeError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import provocations
from provocations import limited, may_mount
from workers import THERE

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


# What each is besides an Error, and what its message says: the limit, what was asked
# for, and the remedy.
ERRORS: dict[str, tuple[type[Exception], str]] = {
    "AccessDeniedError": (PermissionError, "no permission to .*NAME.*: Permission denied"),
    "AddressSpaceFullError": (MemoryError, r"no room for the \d+ bytes .* limit is \d+ bytes; raise"),
    "AlreadyExistsError": (FileExistsError, 'a table named "NAME" exists already; open it, unlink'),
    "ClosedError": (ValueError, "this SharedDict is closed; use it before .*; a table with a name can be opened again, by d.name"),
    "CodecError": (ValueError, 'cannot decode a value: .*; .* codec="raw" opens the table'),
    "CodecMismatchError": (ValueError, 'has codec="pickle", and codec="json" was asked for; open it'),
    "ComputeTimeoutError": (TimeoutError, "waited 0 s for the value of the key 'new', .*: try again"),
    "ConflictError": (RuntimeError, "key 'c' was replaced or removed .* nothing was stored; read it"),
    "CorruptedError": (ValueError, r"the segment is damaged: .* at byte \d+; repair it with SharedDict.rep"),
    "DamagedDumpError": (ValueError, r"is damaged, at its header \(byte \d+\): it ends .*; load another"),
    "DeadlockError": (RuntimeError, "for the key 'new' from inside its own computation, .*; compute"),
    "DescriptorClosedError": (OSError, "closed this handle's descriptor .*; open the table again"),
    "IncompatibleFormatError": (ValueError, '"NAME" is not a table .*: the magic number is .*; open'),
    "FileTooLargeError": (OSError, r"would have \d+ bytes, .* more than 1048576 bytes; .* ulimit -f"),
    "InvalidNameError": (ValueError, '"a/b" cannot name a table: .*; use 1 to 246 bytes without'),
    "InvalidOptionError": (ValueError, r"the option capacity is 0, allowed is 1 to 2\^40 entries"),
    "KeyTooLargeError": (ValueError, r"the key is too large: \d+ bytes, the limit is \d+; store a"),
    "KeyTypeError": (TypeError, r"a key is a str, bytes, .* not a .*; use .* such as str\(key\)"),
    "LockTimeoutError": (TimeoutError, "waited 50ms for a lock held by participant .*; .* lock_timeout"),
    "MaxBytesReachedError": (MemoryError, r"may take 8388608 bytes .*\(max_bytes\).* a larger max_bytes"),
    "MissingKeyError": (KeyError, "^'missing'$"),
    "NotATableError": (OSError, '"NAME" is the name of a symbolic link, not of a table; remove it'),
    "NotANumberError": (TypeError, r"add\(\) .*, and the value of the key .text. is a str; update_value"),
    "NotFoundError": (FileNotFoundError, 'there is no table named "no-such-table"; create it'),
    "PickleRefusedError": (ValueError, "refused to store a pickle: .*; pass allow_pickle=True"),
    "ReadOnlyError": (PermissionError, "this handle is read-only; open the table"),
    "SharedMemoryFullError": (MemoryError, r"memory is full: \d+ more bytes were refused; free some"),
    "SystemCallError": (OSError, r"cannot create .* mount a tmpfs at /dev/shm\): No such file"),
    "TableFullError": (MemoryError, r"created for 4 entries, .* holds \d+ .* a larger capacity"),
    "TooManyFilesError": (OSError, r"has as many files open as it may \(3\): a handle needs two; "),
    "TooManyParticipantsError": (RuntimeError, "all 1 participant slots are taken by .*; close some"),
    "TooSmallError": (ValueError, r"with a capacity of 1000, and 1001 was asked .* replace=True\), or"),
    "ValueSpaceFullError": (MemoryError, r"no room for a record of \d+ bytes; live .* larger value_sp"),
    "ValueTooLargeError": (ValueError, r"too large: 100000004 bytes, the limit of this table is \d+; "),
    "ValueTypeError": (TypeError, "cannot store a value of type .* as a pickle"),
    "WaitAbandonedError": (RuntimeError, "the asyncio task was cancelled, or its loop has ended; give"),
    "WaitTimeoutError": (TimeoutError, "waited 0 s for the key 'missing', and it has no value yet"),
    "WrongOwnerError": (PermissionError, '"NAME" belongs to user 65534, and .* trust'),
}

NUMBERS = {
    "AccessDeniedError": errno.EACCES,
    "AlreadyExistsError": errno.EEXIST,
    "FileTooLargeError": errno.EFBIG,
    "NotATableError": errno.EINVAL,
    "DescriptorClosedError": errno.EBADF,
    "NotFoundError": errno.ENOENT,
    "ReadOnlyError": errno.EACCES,
    "SystemCallError": errno.ENOENT,
    "TooManyFilesError": errno.EMFILE,
    "WrongOwnerError": errno.EACCES,
}


LEFT_OUT = {
    # Who is not the superuser cannot make a table that belongs to somebody else.
    "WrongOwnerError": os.geteuid() != 0,
    # And perhaps no namespace.
    "SharedMemoryFullError": not may_mount(),
    "SystemCallError": not may_mount(),
}

PROVOKING = {
    error: getattr(
        provocations,
        re.sub("([A-Z])", r"_\1", error.removesuffix("Error")).lower().strip("_"),
    )
    for error in ERRORS
    if not LEFT_OUT.get(error)
}


def provoked(error: str, d: ANYTHING, name: str) -> Exception:
    with pytest.raises(Error) as caught:
        PROVOKING[error](d, name)
    assert type(caught.value).__name__ == error
    return caught.value


def test_every_exception_of_the_package_is_in_the_table_of_this_file() -> None:
    exported = {name: getattr(shmtable, name) for name in shmtable.__all__}
    errors = {
        name
        for name, found in exported.items()
        if isinstance(found, type) and issubclass(found, Exception) and name[-7:] != "Warning"
    }
    assert errors == {*ERRORS, "Error"}
    others = {"SharedDict", "Stats", "MISSING", "NotStoredWarning", "orphans", "tables"}
    others |= {"Claim", "Lock", "TableInfo", "TableOptions", "table_infos"}
    assert set(shmtable.__all__) == errors | others
    for name, (builtin, _) in ERRORS.items():
        assert exported[name].__bases__ == (Error, builtin)
        assert exported[name].__module__.startswith("shmtable")
        assert exported[name].__doc__


@pytest.mark.parametrize("error", PROVOKING)
def test_an_error_is_also_the_builtin_one_and_nothing_has_changed(
    there: ANYTHING, name: str, error: str
) -> None:
    raised = provoked(error, there, name)
    builtin, message = ERRORS[error]
    assert isinstance(raised, builtin)
    assert isinstance(raised, Error)
    for number in range(100_000):
        if there.pop(f"filler {number}", None) is None:
            break
    assert there == THERE


@pytest.mark.parametrize("error", PROVOKING)
def test_the_message_tells_the_limit_what_was_asked_for_and_the_remedy(
    there: ANYTHING, name: str, error: str
) -> None:
    raised = provoked(error, there, name)
    text = str(raised).replace(name + "-NAME", "NAME").replace(name, "NAME")
    assert re.search(ERRORS[error][1], text), text
    assert "::" not in text and "open_or_create" not in text, f"that is Rust: {text}"


@pytest.mark.parametrize("error", PROVOKING)
def test_an_error_survives_the_way_to_another_process(
    there: ANYTHING, name: str, error: str
) -> None:
    raised = provoked(error, there, name)
    again = pickle.loads(pickle.dumps(raised))
    assert type(again) is type(raised)
    assert again.args == raised.args
    assert str(again) == str(raised)


@pytest.mark.parametrize("error", [error for error in NUMBERS if error in PROVOKING])
def test_errors_of_the_system_have_their_number(there: ANYTHING, name: str, error: str) -> None:
    raised = provoked(error, there, name)
    assert isinstance(raised, OSError)
    assert raised.errno == NUMBERS[error]
    assert raised.strerror == raised.args[1]
    assert str(raised) == f"[Errno {raised.errno}] {raised.strerror}"


def test_a_file_that_may_not_grow_so_large_has_its_number(there: ANYTHING) -> None:
    with limited(resource.RLIMIT_FSIZE, 1 << 20), pytest.raises(FileTooLargeError) as caught:
        SharedDict(capacity=10, value_space=64 << 20)
    assert caught.value.errno == errno.EFBIG
