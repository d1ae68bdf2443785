"""Does a wait end when it should, and let all others run until then?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import ClosedError, InvalidOptionError, LockTimeoutError, SharedDict, WaitTimeoutError

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


# Values


def test_wait_returns_a_value_that_is_there_at_once() -> None:
    with SharedDict({"a": None, "b": [1]}, capacity=10) as d:
        assert d.wait("a") is None
        assert d.wait("b", 0) == [1]
        assert d.wait("b", timeout=0.0) == [1]


def test_wait_returns_what_another_thread_stores() -> None:
    with SharedDict(capacity=10) as d:
        timer = workers.soon(d.update, {"a": ["stored"]})
        assert d.wait("a", workers.GUARD) == ["stored"]
        timer.join()


def test_wait_returns_what_another_process_stores(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def answer() -> None:
            for number in range(100):
                d["answer", number] = d.wait(("question", number)) + 1

        child = workers.fork(answer)
        for number in range(100):
            d["question", number] = number
            assert d.wait(("answer", number)) == number + 1
        workers.all_well([child])


@pytest.mark.parametrize("length", [0, 200, 300_000])
def test_wait_returns_values_of_any_length_whole(name: str, length: int) -> None:
    with SharedDict.create(name, capacity=10, value_space=1 << 20) as d:
        timer = workers.soon(d.__setitem__, "a", b"x" * length)
        assert d.wait("a", workers.GUARD) == b"x" * length
        timer.join()


def test_every_way_to_store_ends_a_wait() -> None:
    ways: list[Callable[[ANYTHING], object]] = [
        lambda d: d.__setitem__("k", 1),
        lambda d: d.setdefault("k", 1),
        lambda d: d.update(k=1),
        lambda d: d.set_many([("k", 1)]),
        lambda d: d.add("k"),
        lambda d: d.update_value("k", lambda now: now + 1, 0),
        lambda d: d.get_or_compute("k", lambda: 1),
    ]
    for way in ways:
        with SharedDict(capacity=10) as d:
            timer = workers.soon(way, d)
            assert d.wait("k", workers.GUARD) == 1
            timer.join()


def test_all_who_wait_for_a_key_get_its_value(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def wait(me: int) -> None:
            d.add("there")
            d["got", me] = d.wait("k", workers.GUARD)

        children = [workers.fork(wait, me) for me in range(6)]
        while d.get("there") != 6:
            time.sleep(0.001)
        d["k"] = "the value"
        workers.all_well(children)
        assert [d["got", me] for me in range(6)] == ["the value"] * 6


def test_a_read_only_handle_waits_too(name: str) -> None:
    with (
        SharedDict.create(name, capacity=100) as d,
        SharedDict.open(name, read_only=True) as reader,
    ):
        timer = workers.soon(d.update, {"a": 1})
        assert reader.wait("a", workers.GUARD) == 1
        timer.join()
        with pytest.raises(WaitTimeoutError):
            reader.wait("b", 0.02)
        with pytest.raises(WaitTimeoutError):
            reader.wait("b", 0)


# Time


@pytest.mark.parametrize("timeout", [0, 0.0, 1e-9, 0.01, 0.3])
def test_a_wait_for_nothing_is_a_timeout_error(timeout: float) -> None:
    with SharedDict({"other": 1}, capacity=10) as d:
        with pytest.raises(WaitTimeoutError, match="'k'") as raised:
            d.wait("k", timeout)
        assert isinstance(raised.value, TimeoutError)
        assert not isinstance(raised.value, LockTimeoutError)
        assert "k" not in d


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("-inf")])
def test_a_timeout_that_is_no_time_is_a_value_error(timeout: float) -> None:
    with SharedDict({"k": 1}, capacity=10) as d, pytest.raises(ValueError, match="timeout"):
        d.wait("k", timeout)


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e300, 2**63])
def test_a_timeout_may_be_endless(timeout: float | None) -> None:
    with SharedDict(capacity=10) as d:
        timer = workers.soon(d.update, {"k": 1})
        assert d.wait("k", timeout) == 1
        timer.join()


# Others meanwhile


@pytest.mark.parametrize("read_only", [False, True])
def test_other_threads_run_while_one_waits(name: str, read_only: bool) -> None:
    with (
        SharedDict.create(name, capacity=100) as d,
        SharedDict.open(name, read_only=read_only) as waiting,
    ):

        def advance() -> None:
            for number in range(200_000):
                if number % 50_000 == 0:
                    d["number"] = number
            d["k"] = "advanced"

        # The wait can only end because the thread gets to its end.
        thread = threading.Thread(target=advance)
        thread.start()
        assert waiting.wait("k") == "advanced"
        thread.join()


def test_other_threads_run_while_one_waits_for_a_computation(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        steps = []

        def compute() -> str:
            d["computing"] = True
            for number in range(200_000):
                steps.append(number)
            return "computed"

        thread = threading.Thread(target=d.get_or_compute, args=("k", compute))
        thread.start()
        d.wait("computing")
        assert d.get_or_compute("k", lambda: "by the main thread") == "computed"
        assert len(steps) == 200_000
        thread.join()


def test_other_threads_run_while_one_waits_for_a_lock(name: str) -> None:
    with full_of_entries(name) as d, workers.stopped_holder(name) as holder:

        def let_go() -> None:
            # Only a thread that runs meanwhile lets the holder go on.
            for number in range(200_000):
                steps.append(number)
            os.kill(holder, signal.SIGCONT)

        steps: list[int] = []
        timer = workers.soon(let_go)
        d["held"] = "after all"
        assert len(steps) == 200_000
        timer.join()
        assert d["held"] == "after all"


# Closing


def test_closing_the_handle_in_another_thread_ends_a_wait(name: str) -> None:
    for read_only in (False, True):
        with SharedDict(name=name, capacity=100) as d:
            waiting = SharedDict.open(name, read_only=read_only)
            timer = workers.soon(waiting.close)
            with pytest.raises(ClosedError):
                waiting.wait("k")
            timer.join()
            assert "k" not in d


def test_closing_the_handle_in_another_thread_ends_waiting_for_a_computation(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        computing = threading.Event()
        over = threading.Event()

        def compute() -> int:
            computing.set()
            assert over.wait(workers.GUARD)
            return 1

        thread = threading.Thread(target=d.get_or_compute, args=("k", compute))
        thread.start()
        assert computing.wait(workers.GUARD)
        waiting = SharedDict.open(name)
        timer = workers.soon(waiting.close)
        with pytest.raises(ClosedError):
            waiting.get_or_compute("k", lambda: 2)
        timer.join()
        over.set()
        thread.join()
        assert d["k"] == 1


def test_closing_one_handle_leaves_the_waits_of_others(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d, SharedDict.open(name) as waiting:
        timer = workers.soon(lambda: (SharedDict.open(name).close(), d.update(k=1)))
        assert waiting.wait("k") == 1
        timer.join()


# The end of the program

AT_THE_END = """
import atexit, sys, threading, time, types

def wait_at_the_end(when):
    threading.Timer(0.1, d.__setitem__, (when, 1)).run()
    print(when, d.wait(when, 60))

atexit.register(lambda: wait_at_the_end("last"))
from shmtable import MISSING, SharedDict
atexit.register(lambda: wait_at_the_end("first"))

# Its last act takes longer than a wait sleeps at a time.
slow = types.ModuleType("slow")
exec("import sys, time\\nclass Slow:\\n    def __del__(self, sleep=time.sleep, say=print):"
     " sleep(0.3); say('end')", slow.__dict__)
slow.slow = slow.Slow()
sys.modules["slow"] = slow
del slow

d = SharedDict(capacity=10)
computing = threading.Event()
for wait in (
    lambda: d.wait("never"),
    lambda: d.wait_change("never", MISSING),
    lambda: d.get_or_compute("k", lambda: (computing.set(), d.wait("never"))),
    lambda: computing.wait() and d.get_or_compute("k", int),
):
    threading.Thread(target=wait, daemon=True).start()
computing.wait()
"""


def test_a_program_ends_well_while_its_daemon_threads_wait() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", AT_THE_END],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=workers.GUARD,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    # And its main thread may wait still.
    assert ended.stdout == "first 1\nlast 1\nend\n"


# Ctrl-C


def full_of_entries(name: str) -> ANYTHING:
    """A table whose snapshot takes a while, and whose locks are waited for as long."""
    d = SharedDict.create(name, capacity=40_000, lock_timeout=60)
    d.update((number, number) for number in range(20_000))
    return d


def interrupted(wait: Callable[[], object]) -> None:
    """Waits until a thread of this process sends it SIGINT."""
    with pytest.raises(KeyboardInterrupt):
        workers.soon(os.kill, os.getpid(), signal.SIGINT)
        wait()


def interrupted_by_parent(ready: ANYTHING, wait: Callable[[], object]) -> None:
    """Waits until the parent sends SIGINT."""
    with pytest.raises(KeyboardInterrupt):
        ready["pid"] = os.getpid()
        wait()


def interrupt_child(wait: Callable[[], object]) -> None:
    """Sends SIGINT to a child, most likely once it waits."""
    with SharedDict(capacity=10) as ready:
        child = workers.fork(interrupted_by_parent, ready, wait)
        assert ready.wait("pid", workers.GUARD) == child
        time.sleep(0.1)
        os.kill(child, signal.SIGINT)
        workers.all_well([child])


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("timeout", [None, 1e6])
def test_ctrl_c_ends_a_wait(name: str, read_only: bool, timeout: float | None) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d["other"] = 1
        with SharedDict.open(name, read_only=read_only) as waiting:
            workers.all_well([workers.fork(interrupted, lambda: waiting.wait("k", timeout))])
            interrupt_child(lambda: waiting.wait("k", timeout))
        # Nothing of it is left.
        assert d.copy() == {"other": 1}
        timer = workers.soon(d.update, {"k": 2})
        assert d.wait("k", workers.GUARD) == 2
        timer.join()


def test_ctrl_c_ends_waiting_for_a_computation(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def compute_for_ever() -> None:
            d["computing"] = True
            d.wait("never")

        computing = workers.fork(lambda: d.get_or_compute("k", compute_for_ever))
        with workers.killed_at_the_end(computing):
            d.wait("computing", workers.GUARD)
            wait = lambda: d.get_or_compute("k", lambda: d.add("called"))  # noqa: E731
            workers.all_well([workers.fork(interrupted, wait)])
            interrupt_child(wait)
        assert "called" not in d
        assert d.get_or_compute("k", lambda: 1) == 1


def test_ctrl_c_ends_a_computation_that_waits_and_another_takes_its_place(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        wait = lambda: d.get_or_compute("k", lambda: d.wait("never"))  # noqa: E731
        workers.all_well([workers.fork(interrupted, wait)])
        assert d.get_or_compute("k", lambda: 1) == 1


class Alarm(Exception):
    """What a handler raises."""


def test_what_a_signal_handler_raises_ends_a_wait() -> None:
    def wait() -> None:
        def handle(*_: object) -> None:
            raise Alarm("raised by the handler")

        signal.signal(signal.SIGUSR1, handle)
        with pytest.raises(Alarm, match="raised by the handler"):
            workers.soon(os.kill, os.getpid(), signal.SIGUSR1)
            d.wait("k")
        # And it is not raised a second time.
        with pytest.raises(WaitTimeoutError):
            d.wait("k", 0.1)

    with SharedDict(capacity=10) as d:
        workers.all_well([workers.fork(wait)])


def test_a_wait_goes_on_after_a_signal_handler_that_returns() -> None:
    def wait() -> None:
        def handle(*_: object) -> None:
            # It may use the table that is waited for.
            d.add("handled")

        signal.signal(signal.SIGUSR1, handle)
        workers.soon(os.kill, os.getpid(), signal.SIGUSR1)
        assert d.wait("k") == "stored"

    with SharedDict(capacity=10) as d:
        child = workers.fork(wait)
        assert d.wait("handled", workers.GUARD) == 1
        d["k"] = "stored"
        workers.all_well([child])


WRITES: dict[str, Callable[[ANYTHING], object]] = {
    "store": lambda d: d.__setitem__("held", 1),
    "store much": lambda d: d.__setitem__("held", b"x" * 200_000),
    "delete": lambda d: d.__delitem__("held"),
    "pop": lambda d: d.pop("held"),
    "popitem": lambda d: d.popitem(),
    "add": lambda d: d.add("held"),
    "update_value": lambda d: d.update_value("held", str),
    "compare_exchange": lambda d: d.compare_exchange("held", 2, 1),
    "set_many": lambda d: d.set_many({"held": 1}),
    "set_many of pairs": lambda d: d.set_many([("held", 1)]),
    "snapshot": lambda d: d.snapshot(),
    "clear": lambda d: d.clear(),
}


@pytest.mark.parametrize("way", WRITES)
def test_ctrl_c_ends_waiting_for_a_lock(name: str, way: str) -> None:
    def write() -> None:
        # The first that are popped may be some whose lock is free.
        while True:
            WRITES[way](d)

    with full_of_entries(name) as d:
        d["held"] = 2
        with workers.stopped_holder(name):
            workers.all_well([workers.fork(interrupted, write)])
            interrupt_child(write)
            # A living process's lock is its own, and the value is as it was.
            assert d["held"] == 2
        d["held"] = 3
        assert d["held"] == 3


def test_a_lock_that_is_kept_too_long_is_a_timeout_error(name: str) -> None:
    with full_of_entries(name) as d:
        d["held"] = "before"
        with (
            workers.stopped_holder(name) as holder,
            SharedDict.open(name, lock_timeout=0.05) as impatient,
        ):
            for _ in range(2):
                with pytest.raises(LockTimeoutError) as raised:
                    impatient["held"] = 1
                assert isinstance(raised.value, TimeoutError)
            # Who reads waits for nobody.
            assert impatient["held"] == "before"
            assert len(impatient.copy()) == 20_001
            os.kill(holder, signal.SIGCONT)
            d["held"] = "after"
        assert d["held"] == "after"


def test_waiting_for_a_key_whose_digits_cannot_be_shown_times_out(d: ANYTHING) -> None:
    with pytest.raises(WaitTimeoutError):
        d.wait(1 << 20_000, 0)


def test_wait_refuses_what_is_no_number_of_seconds(d: ANYTHING) -> None:
    for wrong in (-1, -0.1, float("nan")):
        with pytest.raises(InvalidOptionError, match="timeout is .*, allowed is a number of seconds"):
            d.wait("a", wrong)
