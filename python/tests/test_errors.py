"""Is each error the exception one would catch, and has nothing changed after it?"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import os
import pickle
import queue
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import (
    MISSING,
    AlreadyExistsError,
    ClosedError,
    CorruptedError,
    Error,
    FileTooLargeError,
    IncompatibleFormatError,
    InvalidNameError,
    InvalidOptionError,
    LockTimeoutError,
    NotANumberError,
    NotFoundError,
    ReadOnlyError,
    SharedDict,
    TableFullError,
    ValueSpaceFullError,
    ValueTooLargeError,
    WaitTimeoutError,
)

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]

THERE = {"a": 1, "b": [2], "text": "text", ("t",): None, "too long": "for a slot of the index"}

# What each is besides an Error, and what its message says: the limit, what was asked
# for, and the remedy.
ERRORS: dict[str, tuple[type[Exception], str]] = {
    "AccessDeniedError": (PermissionError, "no permission to .*NAME.*: Permission denied"),
    "AddressSpaceFullError": (MemoryError, r"no room for the \d+ bytes .* limit is \d+ bytes; raise"),
    "AlreadyExistsError": (FileExistsError, 'a table named "NAME" exists already; open it, unlink'),
    "ClosedError": (ValueError, "this SharedDict is closed; open the table again by its name, d.name"),
    "CodecError": (ValueError, 'cannot decode a value: .*; .* codec="raw" opens the table'),
    "CodecMismatchError": (ValueError, 'has codec="pickle", and codec="json" was asked for; open it'),
    "ComputeTimeoutError": (TimeoutError, "waited 0 s for the value of the key 'new', .*: try again"),
    "CorruptedError": (ValueError, r"the segment is damaged: .* at byte \d+; repair it with SharedDict.rep"),
    "DeadlockError": (RuntimeError, "for the key 'new' from inside its own computation, .*; compute"),
    "DescriptorClosedError": (OSError, "closed this handle's descriptor .*; open the table again"),
    "IncompatibleFormatError": (ValueError, '"NAME" is not a table .*: the magic number is .*; open'),
    "FileTooLargeError": (OSError, r"would have \d+ bytes, .* more than 1048576 bytes; .* ulimit -f"),
    "InvalidNameError": (ValueError, '"a/b" cannot name a table: .*; use 1 to 246 bytes without'),
    "InvalidOptionError": (ValueError, r"the option capacity is 0, allowed is 1 to 2\^40 entries"),
    "KeyTooLargeError": (ValueError, r"the key is too large: \d+ bytes, the limit is \d+; store a"),
    "KeyTypeError": (TypeError, r"a key is a str, bytes, .* not a .*; use .* such as str\(key\)"),
    "LockTimeoutError": (TimeoutError, "waited 50ms for a lock held by participant .*; .* lock_timeout"),
    "MissingKeyError": (KeyError, "^'missing'$"),
    "NotATableError": (OSError, '"NAME" is the name of a symbolic link, and no table; remove it'),
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


# A mount namespace of its own.
UNSHARE = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount"]


def segment(name: str) -> Path:
    return Path("/dev/shm") / f"shmtable.{name}"


@contextlib.contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    """Lowers a limit of this process for a moment."""
    before, hard = resource.getrlimit(what)
    resource.setrlimit(what, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (before, hard))


@contextlib.contextmanager
def overwritten(name: str, offset: int, content: bytes) -> Iterator[None]:
    """Changes a segment's bytes for a moment."""
    with open(segment(name), "r+b", buffering=0) as file:
        file.seek(offset)
        before = file.read(len(content))
        file.seek(offset)
        file.write(content)
        try:
            yield
        finally:
            file.seek(offset)
            file.write(before)


def run(script: str, *arguments: str) -> str:
    """What a program prints."""
    # Not from this folder's parent, whose `shmtable` is not the installed one.
    finished = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


# How to provoke each; `d` is called `name` and holds THERE.


def access_denied(d: ANYTHING, name: str) -> None:
    # The superuser is refused nothing, so another user asks; and tells by a pickle.
    script = """
import os, pickle, sys
from shmtable import SharedDict
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
name = sys.argv[1]
with SharedDict.create(name, capacity=10) as d:
    os.chmod(f"/dev/shm/shmtable.{name}", 0)
    try:
        SharedDict.open(name)
    except Exception as error:
        print(pickle.dumps(error).hex())
    finally:
        d.unlink()
"""
    raise pickle.loads(bytes.fromhex(run(script, name + "-NAME")))


def already_exists(d: ANYTHING, name: str) -> None:
    SharedDict.create(name)


def closed(d: ANYTHING, name: str) -> None:
    with SharedDict.open(name) as again:
        pass
    again["a"] = 2


def codec(d: ANYTHING, name: str) -> None:
    with SharedDict(capacity=10) as other, SharedDict.open(other.name, codec="raw") as raw:
        raw[b"\xa1a"] = b"\xc1"
        other["a"]


def codec_mismatch(d: ANYTHING, name: str) -> None:
    SharedDict.open(name, codec="json")


def compute_timeout(d: ANYTHING, name: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        go, computing = threading.Event(), threading.Event()

        def compute() -> None:
            computing.set()
            go.wait()
            raise ZeroDivisionError

        computed = other.submit(d.get_or_compute, "new", compute)
        try:
            computing.wait()
            d.get_or_compute("new", lambda: 1, timeout=0)
        finally:
            go.set()
            assert isinstance(computed.exception(), ZeroDivisionError)


def corrupted(d: ANYTHING, name: str) -> None:
    with overwritten(name, d.stats()["index_bytes"], b"\xff" * 4096):
        d["too long"]


def deadlock(d: ANYTHING, name: str) -> None:
    d.get_or_compute("new", lambda: d.get_or_compute("new", lambda: 1))


def incompatible_format(d: ANYTHING, name: str) -> None:
    with overwritten(name, 0, b"not this"):
        SharedDict.open(name)


def invalid_name(d: ANYTHING, name: str) -> None:
    SharedDict(name="a/b")


def invalid_option(d: ANYTHING, name: str) -> None:
    SharedDict(capacity=0)


def key_too_large(d: ANYTHING, name: str) -> None:
    d["x" * 2_000_000] = 1


def key_type(d: ANYTHING, name: str) -> None:
    d[range(3)] = 1


# One that holds a stripe's lock very often.
BUSY = """
import sys
from shmtable import SharedDict
d = SharedDict.open(sys.argv[1])
print("ready", flush=True)
while True:
    d.add("counter")
"""


def lock_timeout(d: ANYTHING, name: str) -> None:
    # A process that counts as fast as it can is stopped, again and again, until that
    # happens while it holds the lock: it does for a good part of the time.
    other = SharedDict(capacity=10)
    with other, SharedDict.open(other.name, lock_timeout=0.05) as hurried:
        command = [sys.executable, "-c", BUSY, other.name]
        with subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE) as busy:
            try:
                assert busy.stdout is not None
                assert busy.stdout.readline() == b"ready\n"
                for _ in range(10_000):
                    time.sleep(random.uniform(0, 0.001))
                    os.kill(busy.pid, signal.SIGSTOP)
                    os.waitid(os.P_PID, busy.pid, os.WSTOPPED)
                    before = other.get("counter", 0)
                    try:
                        hurried.add("counter")
                    except LockTimeoutError:
                        # Readers do not wait.
                        assert other.get("counter", 0) == before
                        raise
                    finally:
                        os.kill(busy.pid, signal.SIGCONT)
            finally:
                busy.kill()
        # The dead one keeps no lock.
        hurried.add("counter")


def missing_key(d: ANYTHING, name: str) -> None:
    d["missing"]


def not_a_number(d: ANYTHING, name: str) -> None:
    d.add("text")


def not_found(d: ANYTHING, name: str) -> None:
    SharedDict.open("no-such-table")


def pickle_refused(d: ANYTHING, name: str) -> None:
    with SharedDict.open(name, allow_pickle=False) as careful:
        careful["a"] = {1}


def read_only(d: ANYTHING, name: str) -> None:
    with SharedDict.open(name, read_only=True) as reader:
        reader["a"] = 2


# What a process makes of a table of a million entries.
CREATOR = """
import pickle
from shmtable import SharedDict
try:
    SharedDict(capacity=1_000_000)
except Exception as error:
    print(pickle.dumps(error).hex())
"""


def created_after(mount: str) -> None:
    """Raises what the creator meets in mounts of its own."""
    mount += ' && exec "$@"'
    command = [*UNSHARE, "sh", "-c", mount, "sh", sys.executable, "-c", CREATOR]
    finished = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    raise pickle.loads(bytes.fromhex(finished.stdout))


def shared_memory_full(d: ANYTHING, name: str) -> None:
    created_after("mount -t tmpfs -o size=1m tmpfs /dev/shm")


def system_call(d: ANYTHING, name: str) -> None:
    created_after("mount -t tmpfs tmpfs /dev")


def file_too_large(d: ANYTHING, name: str) -> None:
    with limited(resource.RLIMIT_FSIZE, 1 << 20):
        SharedDict(capacity=10)


def not_a_table(d: ANYTHING, name: str) -> None:
    link = segment(name + "-NAME")
    link.symlink_to("/dev/null")
    try:
        SharedDict(name=name + "-NAME", capacity=10)
    finally:
        link.unlink()


def too_small(d: ANYTHING, name: str) -> None:
    SharedDict(name=name, capacity=1001)


def descriptor_closed(d: ANYTHING, name: str) -> None:
    # In another process: this one needs its descriptors.
    script = """
import os, pickle, sys
from shmtable import SharedDict
d = SharedDict.open(sys.argv[1])
os.closerange(3, 256)
again = SharedDict.open(sys.argv[1])
try:
    d["a"] = 2
except Exception as error:
    print(pickle.dumps(error).hex())
assert d["a"] == 1
again.close()
d.close()
"""
    raise pickle.loads(bytes.fromhex(run(script, name)))


def address_space_full(d: ANYTHING, name: str) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = pages * resource.getpagesize()
    with limited(resource.RLIMIT_AS, used + (1 << 30)):
        SharedDict(capacity=10, value_space=1 << 38)


def too_many_files(d: ANYTHING, name: str) -> None:
    with limited(resource.RLIMIT_NOFILE, 3):
        SharedDict(capacity=10)


def table_full(d: ANYTHING, name: str) -> None:
    with SharedDict(capacity=4) as small:
        for number in range(1000):
            small[number] = None


def too_many_participants(d: ANYTHING, name: str) -> None:
    with SharedDict(capacity=10, max_participants=1) as alone:
        SharedDict.open(alone.name)


def value_space_full(d: ANYTHING, name: str) -> None:
    for number in range(100_000):
        d[f"filler {number}"] = "x" * 10_000


def value_too_large(d: ANYTHING, name: str) -> None:
    d["a"] = "x" * 99_999_999


def value_type(d: ANYTHING, name: str) -> None:
    d["a"] = lambda: 1


def wait_abandoned(d: ANYTHING, name: str) -> None:
    raised: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def wait() -> None:
        try:
            d.wait("new")
        except BaseException as error:
            raised.put(error)

    async def give_up() -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(wait), 0.01)

    asyncio.run(give_up())
    raise raised.get()


def wait_timeout(d: ANYTHING, name: str) -> None:
    d.wait("missing", 0)


def wrong_owner(d: ANYTHING, name: str) -> None:
    owner = segment(name).stat().st_uid
    os.chown(segment(name), 65534, -1)
    try:
        SharedDict.open(name)
    finally:
        os.chown(segment(name), owner, -1)


def may_mount() -> bool:
    try:
        trial = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
        return subprocess.run(trial, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


LEFT_OUT = {
    # Who is not the superuser cannot make a table that belongs to somebody else.
    "WrongOwnerError": os.geteuid() != 0,
    # And perhaps no namespace.
    "SharedMemoryFullError": not may_mount(),
    "SystemCallError": not may_mount(),
}

PROVOKING = {
    error: globals()[
        "".join("_" + c.lower() if c.isupper() else c for c in error.removesuffix("Error")).strip("_")
    ]
    for error in ERRORS
    if not LEFT_OUT.get(error)
}


def provoked(error: str, d: ANYTHING, name: str) -> Exception:
    with pytest.raises(Error) as caught:
        PROVOKING[error](d, name)
    assert type(caught.value).__name__ == error
    return caught.value


@pytest.fixture
def there(name: str) -> Iterator[ANYTHING]:
    with SharedDict(THERE, name=name, capacity=1000, value_space=64_000, max_participants=16) as d:
        yield d


def test_every_exception_of_the_package_is_in_the_table_of_this_file() -> None:
    exported = {name: getattr(shmtable, name) for name in shmtable.__all__}
    errors = {
        name
        for name, found in exported.items()
        if isinstance(found, type) and issubclass(found, Exception) and name[-7:] != "Warning"
    }
    assert errors == {*ERRORS, "Error"}
    others = {"SharedDict", "Stats", "MISSING", "NotStoredWarning", "orphans", "tables"}
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


# Names.


@pytest.mark.parametrize("wrong", ["", "/", "a/b", ".hidden", ".", "a\0b", "x" * 247, "é" * 124])
def test_names_that_no_table_can_have_are_refused(wrong: str) -> None:
    for call in (
        lambda: SharedDict(name=wrong),
        lambda: SharedDict.create(wrong),
        lambda: SharedDict.open(wrong),
        lambda: SharedDict.open(wrong, read_only=True),
        lambda: SharedDict.unlink(wrong),
    ):
        with pytest.raises(InvalidNameError, match="cannot name a table: .*; use 1 to 246 bytes"):
            call()


def test_a_name_that_is_no_unicode_is_an_invalid_name() -> None:
    with pytest.raises(InvalidNameError):
        SharedDict(name="a\ud800", capacity=10)


def test_the_longest_name_is_taken() -> None:
    for name in ("x" * 246, "é" * 123, "a b\n~'"):
        with SharedDict.create(name, capacity=10) as d:
            assert d.name == name
            assert name in shmtable.tables()
            d.unlink()
        assert name not in shmtable.tables()


def test_what_is_not_there_can_neither_be_opened_nor_unlinked(name: str) -> None:
    for call in (
        lambda: SharedDict.open(name),
        lambda: SharedDict.open(name, read_only=True),
        lambda: SharedDict.unlink(name),
    ):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.errno == errno.ENOENT


def test_what_is_there_is_not_created_again(there: ANYTHING, name: str) -> None:
    with pytest.raises(AlreadyExistsError) as caught:
        SharedDict.create(name)
    assert caught.value.errno == errno.EEXIST
    assert there == THERE


# Options.


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("capacity", [0, (1 << 40) + 1, -1, 1 << 64, -(1 << 70)]),
        ("value_space", [0, (1 << 43) + 1, -1, 1 << 64]),
        ("chunk_size", [0, 3, 1000, 4095, 5000, 1 << 31, -4096, 1 << 64]),
        ("max_participants", [0, 4097, -1, 1 << 64]),
        ("lock_timeout", [-1, -0.5, float("nan"), float("-inf")]),
        ("mode", [-1, 1 << 32, 600, 0, 0o400, 0o755, 0o4600]),
        ("codec", ["", "xml", "PICKLE"]),
        ("trust", ["", "all", [-1], [1 << 32]]),
    ],
)
def test_an_option_out_of_its_range_is_an_invalid_option(
    name: str, option: str, values: list[Any]
) -> None:
    for value in values:
        kind: type | None = None
        try:
            SharedDict(name=name, **{option: value})
        except Exception as error:
            kind = type(error)
            text = str(error)
        assert (value, kind) == (value, InvalidOptionError)
        assert option in text
        assert name not in shmtable.tables()


@pytest.mark.parametrize(
    "wrong",
    [
        {"capacity": "a"},
        {"capacity": 1.5},
        {"lock_timeout": "a"},
        {"codec": 5},
        {"trust": 5},
        {"trust": ["a"]},
        {"name": 5},
        {"name": b"a"},
        {"unknown": 1},
        {"allow_pickle": "yes"},
    ],
    ids=repr,
)
def test_an_option_of_another_type_is_a_type_error_that_names_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as caught:
        SharedDict(**{"capacity": 10, **wrong})
    if "name" not in wrong:
        assert next(iter(wrong)) in str(caught.value)


def test_any_timeout_from_zero_on_is_taken(new: NEW) -> None:
    for seconds in (0, 0.0, -0.0, 1e-9, 1e300, float("inf"), 10**30):
        assert new({"a": 1}, lock_timeout=seconds)["a"] == 1


# Sizes.


def test_a_full_table_takes_other_values_of_the_keys_it_has(new: NEW) -> None:
    d = new(capacity=4)
    with pytest.raises(TableFullError):
        for number in range(1000):
            d[number] = None
    before = d.copy()
    assert len(before) >= 4
    new_key = next(number for number in range(1000) if number not in before)
    stores: list[Callable[[], object]] = [
        lambda: d.__setitem__(new_key, 1),
        lambda: d.setdefault(new_key, 1),
        lambda: d.add(new_key),
        lambda: d.compare_exchange(new_key, MISSING, 1),
        lambda: d.update_value(new_key, lambda old: old, 1),
        lambda: d.update({new_key: 1}),
    ]
    for store in stores:
        with pytest.raises(TableFullError):
            store()
        assert d == before
    for key in before:
        d[key] = "other"
    d.pop(next(iter(before)))
    assert len(d) == len(before) - 1


def test_a_full_value_space_is_usable_again_after_a_removal(new: NEW) -> None:
    d = new(value_space=100_000, max_participants=2)
    with pytest.raises(ValueSpaceFullError):
        for number in range(100_000):
            d[number] = bytes(9_000)
    before = d.copy()
    with pytest.raises(ValueSpaceFullError):
        d["more"] = bytes(9_000)
    with pytest.raises(ValueSpaceFullError):
        d.update_value(0, lambda old: old * 5)
    assert d == before
    d.clear()
    d["more"] = bytes(9_000)


def test_a_value_that_never_fits_is_refused_by_every_operation(new: NEW) -> None:
    d = new({"a": 1})
    large = bytes(70_000_000)
    stores: list[Callable[[], object]] = [
        lambda: d.__setitem__("a", large),
        lambda: d.setdefault("b", large),
        lambda: d.set_many({"b": large}),
        lambda: d.set_many([("b", large)]),
        lambda: d.compare_exchange("a", 1, large),
        lambda: d.update_value("a", lambda _: large),
    ]
    for store in stores:
        with pytest.raises(ValueTooLargeError, match=r"70000005 bytes, the limit of this table"):
            store()
        assert d == {"a": 1}


# Add.


def test_add_refuses_what_is_no_number_on_both_sides(new: NEW) -> None:
    for codec in ("pickle", "msgpack", "json"):
        values = {"text": "1", "none": None, "list": [1], "number": 1}
        d = new(values, codec=codec)
        for key in ("text", "none", "list"):
            with pytest.raises(NotANumberError, match=r"add\(\) takes ints and floats"):
                d.add(key)
        for wrong in ("1", None, [1], 1j):
            with pytest.raises(NotANumberError, match=r"add\(\) takes ints and floats"):
                d.add("number", wrong)
            with pytest.raises(NotANumberError):
                d.add("new", wrong)
        assert d == values


def test_a_raw_counter_refuses_other_values_and_overflow(new: NEW) -> None:
    d = new({b"short": b"1", b"long": b"123456789"}, codec="raw")
    for key in (b"short", b"long"):
        with pytest.raises(NotANumberError, match="a counter has 8"):
            d.add(key)
    d.add(b"counter", (1 << 63) - 1)
    before = d.copy()
    with pytest.raises(NotANumberError, match="would overflow"):
        d.add(b"counter")
    for wrong in (1 << 63, 0.5, -(1 << 63) - 1):
        with pytest.raises(NotANumberError):
            d.add(b"counter", wrong)
    assert d == before


def test_add_of_a_bool_counts_as_it_does_elsewhere(new: NEW) -> None:
    for codec in ("pickle", "msgpack", "json"):
        d = new(codec=codec)
        total = d.add("a", True)
        assert (type(total), total, type(d["a"]), d["a"]) == (int, 1, int, 1), codec


# Waiting.


def test_waiting_for_a_key_whose_digits_cannot_be_shown_times_out(d: ANYTHING) -> None:
    with pytest.raises(WaitTimeoutError):
        d.wait(1 << 20_000, 0)


def test_wait_refuses_what_is_no_number_of_seconds(d: ANYTHING) -> None:
    for wrong in (-1, -0.1, float("nan")):
        with pytest.raises(InvalidOptionError, match="timeout is .*, allowed is a number of seconds"):
            d.wait("a", wrong)


# Handles.

EVERYTHING: dict[str, Callable[[ANYTHING], object]] = {
    "__getitem__": lambda d: d["a"],
    "__setitem__": lambda d: d.__setitem__("a", 2),
    "__delitem__": lambda d: d.__delitem__("a"),
    "__contains__": lambda d: "a" in d,
    "__iter__": lambda d: list(d),
    "__len__": lambda d: len(d),
    "__bool__": lambda d: bool(d),
    "__eq__": lambda d: d == {},
    "__or__": lambda d: d | {},
    "__ror__": lambda d: {} | d,
    "__ior__": lambda d: d.__ior__({"a": 2}),
    "__copy__": lambda d: d.__copy__(),
    "__deepcopy__": lambda d: d.__deepcopy__({}),
    "__reduce__": lambda d: d.__reduce__(),
    "add": lambda d: d.add("a"),
    "allow_pickle": lambda d: d.allow_pickle,
    "anonymous": lambda d: d.anonymous,
    "unlinked": lambda d: d.unlinked,
    "capacity": lambda d: d.capacity,
    "check": lambda d: d.check(),
    "clear": lambda d: d.clear(),
    "codec": lambda d: d.codec,
    "compare_exchange": lambda d: d.compare_exchange("a", 1, 2),
    "copy": lambda d: d.copy(),
    "get": lambda d: d.get("a"),
    "get_many": lambda d: d.get_many(["a"]),
    "get_or_compute": lambda d: d.get_or_compute("new", lambda: 1),
    "items": lambda d: list(d.items()),
    "keys": lambda d: list(d.keys()),
    "name": lambda d: d.name,
    "pop": lambda d: d.pop("a"),
    "pop_many": lambda d: d.pop_many(["a"]),
    "popitem": lambda d: d.popitem(),
    "read_only": lambda d: d.read_only,
    "remove_many": lambda d: d.remove_many(["a"]),
    "remove_prefix": lambda d: d.remove_prefix("a"),
    "repair": lambda d: d.repair(),
    "replace": lambda d: d.replace("a", 2),
    "retain": lambda d: d.retain(lambda key, value: False),
    "scan": lambda d: list(d.scan("a")),
    "set_many": lambda d: d.set_many({"a": 2}),
    "setdefault": lambda d: d.setdefault("new", 1),
    "snapshot": lambda d: d.snapshot(),
    "stats": lambda d: d.stats(),
    "unlink": lambda d: d.unlink(),
    "update": lambda d: d.update(a=2),
    "update_value": lambda d: d.update_value("a", lambda _: 2),
    "values": lambda d: list(d.values()),
    "wait": lambda d: d.wait("a", 0),
    "wait_change": lambda d: d.wait_change("a", MISSING, 0),
}
NEED_NO_TABLE = {"close", "closed", "create", "fromkeys", "open", "__repr__", "__enter__", "__exit__"}
WRITING = {"__setitem__", "__delitem__", "__ior__", "add", "clear", "compare_exchange", "pop"}
WRITING |= {"get_or_compute", "popitem", "set_many", "setdefault", "update", "update_value"}
WRITING |= {"pop_many", "remove_many", "remove_prefix", "replace", "retain", "unlink"}
# They take locks, and who may not write cannot.
WRITING |= {"snapshot", "check", "repair"}


# What a closed handle still tells.
KNOWN = {"anonymous", "codec", "name", "read_only"}


def test_every_method_is_in_the_table_of_this_file() -> None:
    public = {name for name in dir(SharedDict) if not name.startswith("_")}
    assert public == {name for name in EVERYTHING | dict.fromkeys(NEED_NO_TABLE) if name[0] != "_"}


@pytest.mark.parametrize("method", EVERYTHING)
def test_every_method_of_a_closed_handle_is_refused(
    there: ANYTHING, name: str, method: str
) -> None:
    again = SharedDict.open(name)
    again.close()
    again.close()
    assert again.closed
    if method in KNOWN:
        assert EVERYTHING[method](again) == EVERYTHING[method](there)
    else:
        with pytest.raises(ClosedError):
            EVERYTHING[method](again)
    with pytest.raises(ClosedError):
        EVERYTHING[method](SharedDict.__new__(SharedDict))
    assert there == THERE
    assert not there.closed


@pytest.mark.parametrize("method", EVERYTHING)
def test_a_read_only_handle_reads_and_does_not_write(
    there: ANYTHING, name: str, method: str
) -> None:
    with SharedDict.open(name, read_only=True) as reader:
        if method in WRITING:
            with pytest.raises(ReadOnlyError):
                EVERYTHING[method](reader)
        else:
            assert EVERYTHING[method](reader) is not NotImplemented
        assert reader.read_only
        assert reader == THERE
    assert there == THERE


def test_writing_calls_that_write_nothing_work_read_only(there: ANYTHING, name: str) -> None:
    with SharedDict.open(name, read_only=True) as reader:
        assert reader.setdefault("a", 2) == 1
        assert reader.retain(lambda key, value: True) == 0
        assert reader.remove_prefix("not there") == 0
        assert reader.get_or_compute("a", lambda: 2) == 1
        assert reader.compare_exchange("a", 5, 6) is False


# Damage.


def test_a_damaged_arena_is_noticed_by_every_operation_that_looks(new: NEW) -> None:
    there = {number: f"{number}, too long for a slot" for number in range(1000)}
    d = new(there, value_space=64_000, max_participants=8)
    arena = d.stats()["index_bytes"]
    with overwritten(d.name, arena, b"\xff" * (d.stats()["segment_bytes"] - arena)):
        for look in (
            lambda: [d[number] for number in range(1000)],
            lambda: d.get_many(range(1000)),
            lambda: list(d),
            lambda: list(d.items()),
            lambda: d.copy(),
            lambda: d.snapshot(),
        ):
            with pytest.raises(CorruptedError, match="the segment is damaged: "):
                look()
    assert d == there


def test_random_damage_is_an_exception_or_another_value(name: str) -> None:
    choose = random.Random(7)
    there = {n: [n] * (n % 20) for n in range(100)}
    with SharedDict(there, name=name, capacity=200, value_space=12_800, max_participants=8) as d:
        image = segment(name).read_bytes()
    begin, end = 4096 + 64 * 8, len(image.rstrip(b"\0"))
    for _ in range(150):
        damage = bytearray(image)
        for _ in range(choose.randint(1, 200)):
            at = choose.randrange(begin, end)
            damage[at] = choose.randrange(256)
        segment(name).write_bytes(damage)
        with SharedDict.open(name, lock_timeout=0.001, allow_pickle=False) as d:
            for look in (
                lambda: [d.get(n) for n in range(100)],
                lambda: d.get_many(range(100)),
                lambda: d.copy(),
                lambda: list(d),
                lambda: d.snapshot(),
                lambda: [d.__setitem__(n, n) for n in range(100)],
                lambda: [d.pop(n, None) for n in range(100)],
                lambda: d.clear(),
            ):
                with contextlib.suppress(Error):
                    look()


@pytest.mark.parametrize(("offset", "error"), [(0, IncompatibleFormatError), (8, IncompatibleFormatError),
    (16, IncompatibleFormatError), (24, CorruptedError), (32, CorruptedError), (104, CorruptedError),
    (128, CorruptedError)])  # fmt: skip
def test_a_damaged_header_is_not_opened(
    there: ANYTHING, name: str, offset: int, error: type[Error]
) -> None:
    with overwritten(name, offset, b"\x77" * 8):
        for attach in (
            lambda: SharedDict(name=name),
            lambda: SharedDict.open(name),
            lambda: SharedDict.open(name, read_only=True),
            lambda: SharedDict.open(name, codec="raw"),
        ):
            with pytest.raises(error):
                attach()
    assert SharedDict.open(name) == there == THERE


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 8192])
def test_a_segment_that_was_cut_off_is_not_opened(name: str, length: int) -> None:
    SharedDict.create(name, capacity=10).close()
    os.truncate(segment(name), length)
    for read_only in (False, True):
        with pytest.raises((IncompatibleFormatError, CorruptedError)):
            SharedDict.open(name, read_only=read_only)


def test_a_file_that_is_no_segment_is_not_opened(name: str) -> None:
    segment(name).write_bytes(random.Random(7).randbytes(100_000))
    segment(name).chmod(0o600)
    with pytest.raises(IncompatibleFormatError):
        SharedDict.open(name)
    with pytest.raises(IncompatibleFormatError):
        SharedDict(name=name)
