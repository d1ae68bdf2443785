"""How to provoke each error of the package.

Each function raises the error that it is named after; `d` is the table called `name`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import pickle
import queue
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shmtable import LockTimeoutError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
from damage import overwritten, segment

ANYTHING = SharedDict[Any, Any]


# A mount namespace of its own.
UNSHARE = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount"]


@contextlib.contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    """Lowers a limit of this process for a moment."""
    before, hard = resource.getrlimit(what)
    resource.setrlimit(what, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (before, hard))


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
        SharedDict.open(name, lock_timeout=4)
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


def conflict(d: ANYTHING, name: str) -> None:
    try:
        with d.edit("c", []):
            d["c"] = "another one's"
    finally:
        del d["c"]


def corrupted(d: ANYTHING, name: str) -> None:
    with overwritten(name, d.stats()["max_index_bytes"], b"\xff" * 4096):
        d["too long"]


def damaged_dump(d: ANYTHING, name: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        d.save(file.name)
        os.truncate(file.name, 40)
        SharedDict.load(file.name)


def deadlock(d: ANYTHING, name: str) -> None:
    d.get_or_compute("new", lambda: d.get_or_compute("new", lambda: 1))


def incompatible_format(d: ANYTHING, name: str) -> None:
    # Another lock_timeout: a handle of this process would share its mapping.
    with overwritten(name, 0, b"not this"):
        SharedDict.open(name, lock_timeout=4)


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


def max_bytes_reached(d: ANYTHING, name: str) -> None:
    with SharedDict(max_bytes=8 << 20) as small:
        for number in range(1_000_000):
            small[number] = "x" * 1000


def too_many_participants(d: ANYTHING, name: str) -> None:
    with SharedDict(capacity=10, max_participants=1) as alone:
        SharedDict.open(alone.name, lock_timeout=4)


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
