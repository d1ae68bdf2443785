"""What the tests share: children, and what they do.

Its functions are found by name in spawned interpreters, so this module is one of
its own, imported as `workers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

from shmtable import MISSING, ReadOnlyError, SharedDict

# Seconds after which a child hangs: far more than anything takes on a busy machine.
GUARD = 120.0

METHODS = ("fork", "forkserver", "spawn")
HERE = Path(__file__).parent
ANYTHING = SharedDict[Any, Any]


# Forked children.


def fork(function: Callable[..., object], *args: object) -> int:
    """Calls a function in a forked child that does nothing else, and ends with 0."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    # Nothing of the parent's is to run here, whatever happens.
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(Exception):
            faulthandler.enable(file=sys.__stderr__)
        function(*args)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)


def status(pid: int, guard: float = GUARD) -> int:
    """What a forked child ended with: its exit code, or minus the signal."""
    deadline = time.monotonic() + guard
    pause = 0.0005
    while time.monotonic() < deadline:
        ended, how = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(how)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    # Its last words are where it is.
    os.kill(pid, signal.SIGABRT)
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"the child {pid} hung")


def all_well(pids: list[int]) -> None:
    """Waits for forked children, all of which must end with 0."""
    ends = [status(pid) for pid in pids]
    assert not any(ends), f"children ended with {ends}"


def kill(pid: int) -> None:
    """Kills a forked child that is still running."""
    os.kill(pid, signal.SIGKILL)
    assert status(pid) == -signal.SIGKILL


@contextlib.contextmanager
def killed_at_the_end(pid: int) -> Iterator[int]:
    """A child that nobody ends but this."""
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# Event loops.


def in_loop(main: Callable[[], Awaitable[Any]]) -> Any:
    """Runs a coroutine function, after which no thread of its loop is left."""
    found = asyncio.run(asyncio.wait_for(main(), GUARD))
    assert loop_threads() == []
    return found


def loop_threads() -> list[threading.Thread]:
    """The threads that wait for tasks."""
    return [thread for thread in threading.enumerate() if thread.name == "shmtable.aio"]


async def begun() -> None:
    """Lets the tasks of the loop run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


# Children of multiprocessing.


def joined(*processes: Any) -> None:
    """Waits for processes of multiprocessing, all of which must end with 0."""
    for process in processes:
        process.join(GUARD)
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(f"{process} hung")
    ends = [process.exitcode for process in processes]
    assert not any(ends), f"children ended with {ends}"


def context(method: str) -> Any:
    return multiprocessing.get_context(method)


def unpickled(d: ANYTHING) -> ANYTHING:
    """A handle as a child gets it."""
    other = pickle.loads(pickle.dumps(d))
    assert isinstance(other, SharedDict)
    return other


# Programs of their own.


def environment() -> dict[str, str]:
    """What a program needs to find this module."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def start(code: str, *args: str) -> subprocess.Popen[str]:
    """Starts a Python program, with pipes to it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def ended(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code, the output and the errors of a program."""
    try:
        output, errors = program.communicate(timeout=GUARD)
    except subprocess.TimeoutExpired:
        program.kill()
        output, errors = program.communicate()
        raise AssertionError(f"a program hung: {output!r} {errors!r}") from None
    return program.returncode, output, errors


def run(code: str, *args: str) -> str:
    """The output of a Python program that ends well and prints no error."""
    exit_code, output, errors = ended(start(code, *args))
    assert (exit_code, errors) == (0, ""), f"{exit_code}\n{output}\n{errors}"
    return output


def output(*arguments: str, cwd: str | Path, patience: float = GUARD) -> str:
    """What Python prints that is started in a folder and ends well, with errors or without."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def output_of_file(code: str, folder: Path, patience: float = GUARD) -> str:
    """The same of a program in a file: children import the module that they were started from."""
    program = folder / "program.py"
    program.write_text(code)
    return output(str(program), cwd=folder, patience=patience)


# Threads.


def together(*functions: Callable[[], object]) -> None:
    """Calls functions, each in a thread of its own; raises what one raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(len(functions))

    def call(function: Callable[[], object]) -> None:
        try:
            barrier.wait(GUARD)
            function()
        except BaseException as error:
            raised.append(error)

    threads = [
        threading.Thread(target=call, args=(function,), daemon=True) for function in functions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
        assert not thread.is_alive(), "a thread hung"
    if raised:
        raise raised[0]


@contextlib.contextmanager
def rewriting(
    d: ANYTHING, key: object, values: list[Any], show: Callable[[Any], Hashable]
) -> Iterator[Iterator[Any]]:
    """Lets two threads store the values under a key, one after another and again.

    Gives what reads of the key find: at least 2000, and on until two values were seen.
    """
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            for value in values:
                d[key] = value

    def reads() -> Iterator[Any]:
        shown = set()
        deadline = time.monotonic() + GUARD
        count = 0
        while count < 2000 or len(shown) < 2:
            assert time.monotonic() < deadline, f"no other value than {shown} was seen"
            found = d[key]
            shown.add(show(found))
            count += 1
            yield found

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        yield reads()
    finally:
        ended.set()
        for writer in writers:
            writer.join()


def soon(function: Callable[..., object], *args: object) -> threading.Timer:
    """Calls a function in a thread of its own, most likely once this one waits."""
    timer = threading.Timer(0.1, function, args)
    timer.daemon = True
    timer.start()
    return timer


# Where tables are, and what the fixture `there` holds.

THERE = {"a": 1, "b": [2], "text": "text", ("t",): None, "too long": "for a slot of the index"}


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/shmtable.{name}")


# What children do with a table.


class Ledger(SharedDict[str, int]):
    """A user's class."""

    __slots__ = ()

    def pay(self, who: str, amount: int) -> int:
        return self.add(who, amount)


def filled(child: int, number: int) -> object:
    """What `fill` stores: entries of all sizes."""
    return number if number % 3 else f"{child} stores {number}" * (number % 4)


def fill(d: SharedDict[Any, Any], child: int, entries: int) -> None:
    """Stores entries in a table that grows meanwhile; none that it stored is ever missing."""
    for number in range(entries):
        d[child, number] = filled(child, number)
        assert d[child, number // 2] == filled(child, number // 2)


def greet(d: SharedDict[Any, Any], who: object) -> None:
    """Says that it is there, and answers what it is asked then."""
    d["here", who] = os.getpid()
    d["answer", who] = d.wait(("question", who), GUARD) * 2


def ask(d: SharedDict[Any, Any], who: object) -> None:
    """The other half of `greet`."""
    assert d.wait(("here", who), GUARD) != os.getpid()
    d["question", who] = 21
    assert d.wait(("answer", who), GUARD) == 42


def only_read(d: SharedDict[Any, Any], results: SharedDict[Any, Any], who: object) -> None:
    """Reads with a handle that cannot write, and tells what happened."""
    try:
        d["written"] = who
    except ReadOnlyError:
        results[who] = (d.read_only, d["given"], "refused")
    else:
        results[who] = (d.read_only, d["given"], "written")


def count(d: SharedDict[Any, Any]) -> int:
    """Adds 1, and returns the sum."""
    return d.add("count")


def count_for(d: SharedDict[Any, Any], who: int) -> tuple[int, int]:
    d.add("count")
    d["by", who] = os.getpid()
    return who, d["given"]


def meet(d: ANYTHING, many: int, who: int) -> tuple[int, int]:
    """Waits until as many workers are there."""
    if d.add("here") == many:
        d["all"] = True
    assert d.wait("all", 3 * GUARD)
    return who, os.getpid()


_given: SharedDict[Any, Any] | None = None


def keep(d: SharedDict[Any, Any]) -> None:
    """An initializer: keeps the handle in a global."""
    global _given
    _given = d


def count_with_kept(who: int) -> int:
    assert _given is not None
    _given["by", who] = os.getpid()
    return _given.add("count")


def answer_queue(queue: Any) -> None:
    """Gets a handle from a queue, and answers with it."""
    greet(queue.get(timeout=GUARD), "queue")


def answer_pipe(pipe: Any) -> None:
    """Gets a handle from a pipe and answers with it, then sends one of its own."""
    greet(pipe.recv(), "pipe")
    with SharedDict({"from": "the child"}, capacity=100) as mine:
        pipe.send(mine)
        assert mine.wait("seen", GUARD) == "by the parent"


def pay(ledger: Ledger) -> None:
    assert type(ledger) is Ledger
    ledger.pay("ann", 5)


def wait_then_store(d: SharedDict[Any, Any], who: object) -> None:
    """Starts slowly, as an interpreter on a busy machine does."""
    time.sleep(0.3)
    d["stored", who] = os.getpid()


def open_by_name(name: str, who: object) -> None:
    with SharedDict.open(name) as d:
        d["stored", who] = os.getpid()


def make_anonymous(pipe: Any) -> None:
    """Makes an anonymous table, which goes when this process does."""
    d = SharedDict({"a": 1}, capacity=100)
    pipe.send(d.name)


def adds(d: SharedDict[Any, Any], key: object, n: float, times: int) -> None:
    """Adds so many times, once everybody is there."""
    d.wait("go", GUARD)
    for _ in range(times):
        d.add(key, n)


def look_through(d: SharedDict[Any, Any]) -> None:
    """Takes all locks of a table, again and again."""
    while True:
        d.snapshot()


@contextlib.contextmanager
def stopped_holder(name: str) -> Iterator[int]:
    """A process that is stopped while it holds a lock of the table `name`.

    A write of the key "held" then waits for that lock. The table needs entries
    enough that a snapshot takes a while.
    """
    probe = SharedDict.open(name, lock_timeout=0.02)
    child = SharedDict.open(name, lock_timeout=GUARD)
    with killed_at_the_end(fork(look_through, child)) as pid:
        child.close()
        deadline = time.monotonic() + GUARD
        while True:
            assert time.monotonic() < deadline, "the child never holds the lock"
            time.sleep(0.002)
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED)
            try:
                probe["held"] = probe.get("held", "probe")
            except TimeoutError:
                break
            os.kill(pid, signal.SIGCONT)
        probe.close()
        yield pid


class PopsAnother:
    """A value that pops another entry of the table while it is loaded."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return pop_another, ()


def pop_another() -> object:
    assert _given is not None
    return _given.popitem()


def lock_by_exchange(d: SharedDict[Any, Any], me: int, times: int) -> None:
    """Counts without `add`, under a lock made of `compare_exchange`."""
    d.wait("go", GUARD)
    for _ in range(times):
        while not d.compare_exchange("lock", MISSING, me):
            os.sched_yield()
        d["count"] = d["count"] + 1
        assert d.compare_exchange("lock", me, MISSING)


def built(name: str, *what: str) -> str:
    """The path of a Rust program of this project."""
    command = ["cargo", "build", *what, "--message-format=json"]
    build = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    messages = [json.loads(line) for line in build.stdout.splitlines()]
    (path,) = [
        message["executable"]
        for message in messages
        if message.get("target", {}).get("name") == name and message.get("executable")
    ]
    return str(path)
