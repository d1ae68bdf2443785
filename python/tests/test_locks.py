"""Does one caller at a time hold a lock or a claim, and does it end with its holder?"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import Claim, ClosedError, DeadlockError, Lock, SharedDict, WaitTimeoutError, aio

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


# Locks


def test_children_and_their_threads_hold_a_lock_one_at_a_time(d: ANYTHING) -> None:
    rounds = 50
    d["sum"] = 0

    def add() -> None:
        for _ in range(rounds):
            with d.lock("sum", workers.GUARD):
                d["sum"] = d["sum"] + 1

    def child() -> None:
        workers.together(add, add)

    workers.all_well([workers.fork(child) for _ in range(3)])
    assert d["sum"] == 3 * 2 * rounds


def test_spawned_processes_share_a_lock(d: ANYTHING) -> None:
    d["sum"] = 0
    with workers.context("spawn").Pool(2) as pool:
        pool.map(add_under_lock, [d] * 40)
    assert d["sum"] == 40


def add_under_lock(d: ANYTHING) -> None:
    with d.lock("sum"):
        d["sum"] = d["sum"] + 1


def test_a_lock_that_is_not_free_in_time_raises_and_says_which(d: ANYTHING) -> None:
    with d.lock("printer"):
        workers.together(lambda: refused(d))
    # It is free again.
    with d.lock("printer", 0):
        pass


def refused(d: ANYTHING) -> None:
    with (
        pytest.raises(WaitTimeoutError, match=r"waited 0\.05 s for the lock 'printer'"),
        d.lock("printer", 0.05),
    ):
        pytest.fail("it is not free")
    assert d.lock("printer").acquire(0) is False
    assert d.lock("printer").acquire(timeout=0.01) is False


def test_a_lock_is_given_back_after_an_exception(d: ANYTHING) -> None:
    with pytest.raises(RuntimeError, match="inside"), d.lock("a"):
        raise RuntimeError("inside")
    assert d.lock("a").acquire(0)


def test_acquire_and_release_tell_who_holds_the_lock(d: ANYTHING) -> None:
    one, other = d.lock("a"), d.lock("a")
    assert isinstance(one, Lock)
    assert one.acquire(0)
    assert (one.held, other.held) == (True, False)
    assert not other.acquire(0)
    with pytest.raises(RuntimeError, match="does not hold the lock 'a'"):
        other.release()
    one.release()
    assert not one.held
    with pytest.raises(RuntimeError, match="does not hold"):
        one.release()
    assert other.acquire(0)
    assert repr(other) == "<Lock 'a', held by this object>"
    other.release()
    assert repr(other) == "<Lock 'a', not held by this object>"
    assert other.name == "a"


def test_a_lock_that_no_one_refers_to_is_free(d: ANYTHING) -> None:
    assert d.lock("a").acquire(0)
    gc.collect()
    assert d.lock("a").acquire(0)


def test_locks_of_equal_names_are_one_and_keys_are_no_locks(d: ANYTHING) -> None:
    d["a"] = 1
    with d.lock(1), d.lock("a"), d.lock(("a", 1)):
        assert not d.lock(1.0).acquire(0)
        assert d.get_or_compute("a", int) == 1
        assert d.get_or_compute("b", lambda: 2) == 2
        assert d.claim("a") is not None
    assert len(d) == 2


def test_a_lock_taken_twice_is_a_deadlock(d: ANYTHING) -> None:
    with d.lock("a"):
        message = "has the lock 'a' already, and would wait for itself; take it once"
        with pytest.raises(DeadlockError, match=message), d.lock("a", workers.GUARD):
            pytest.fail("it waited for itself")
        # The lock is still held.
        workers.together(lambda: pytest.raises(WaitTimeoutError, d.lock("a", 0).__enter__))


def test_holders_that_wait_for_each_other_are_told(d: ANYTHING) -> None:
    raised: list[DeadlockError] = []
    barrier = threading.Barrier(2)

    def take(first: str, second: str) -> None:
        with d.lock(first):
            barrier.wait(workers.GUARD)
            try:
                with d.lock(second, workers.GUARD):
                    d.add("both")
            except DeadlockError as error:
                raised.append(error)

    workers.together(lambda: take("a", "b"), lambda: take("b", "a"))
    assert len(raised) == 1
    assert d["both"] == 1


def test_a_computation_that_waits_for_a_lock_whose_holder_waits_for_it_is_told(d: ANYTHING) -> None:
    raised: list[DeadlockError] = []
    barrier = threading.Barrier(2)

    def compute() -> int:
        barrier.wait(workers.GUARD)
        with d.lock("a", workers.GUARD):
            return 1

    def computes() -> None:
        try:
            d.get_or_compute("value", compute)
        except DeadlockError as error:
            raised.append(error)

    def holds() -> None:
        try:
            with d.lock("a"):
                barrier.wait(workers.GUARD)
                d.get_or_compute("value", lambda: 2, timeout=workers.GUARD)
        except DeadlockError as error:
            raised.append(error)

    workers.together(computes, holds)
    assert len(raised) == 1


def test_a_killed_holder_loses_its_lock(d: ANYTHING) -> None:
    def child() -> None:
        with d.lock("a"):
            d["held"] = os.getpid()
            time.sleep(workers.GUARD)

    pid = workers.fork(child)
    d.wait("held", workers.GUARD)
    assert not d.lock("a").acquire(0)
    os.kill(pid, signal.SIGKILL)
    with d.lock("a", workers.GUARD):
        assert d.lock("a").held is False
    assert workers.status(pid) == -signal.SIGKILL


def test_a_forked_child_does_not_have_its_parents_lock(d: ANYTHING) -> None:
    with d.lock("a") as lock:

        def child() -> None:
            assert not lock.held
            with pytest.raises(RuntimeError, match="does not hold"):
                lock.release()
            assert not d.lock("a").acquire(0)

        workers.all_well([workers.fork(child)])
        assert lock.held
        assert d.lock("a").acquire(0) is False


def test_a_child_that_leaves_its_parents_block_gives_nothing_back(d: ANYTHING) -> None:
    with d.lock("a"):
        pid = os.fork()
    if pid == 0:
        os._exit(0 if d.lock("a").acquire(workers.GUARD) else 1)
    workers.all_well([pid])


def test_a_handle_that_is_closed_ends_the_wait_for_a_lock(name: str) -> None:
    with SharedDict(name=name, capacity=10) as d, d.lock("a"):
        other = SharedDict.open(name)

        def waits() -> None:
            with pytest.raises(ClosedError), other.lock("a"):
                pytest.fail("it is not free")

        def closes() -> None:
            time.sleep(0.1)
            other.close()

        workers.together(waits, closes)


def test_signal_handlers_run_while_a_lock_is_waited_for(d: ANYTHING) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    held = d.claim("a")
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupted):
            d.claim("a", timeout=None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert held is not None


# Claims


def test_one_caller_at_a_time_has_a_claim(d: ANYTHING, name: str) -> None:
    d["job"] = "sweep"
    claim = d.claim("job")
    assert isinstance(claim, Claim)
    assert (claim.key, claim.held) == ("job", True)
    assert d.claim("job") is None
    workers.all_well([workers.fork(lambda: none(d.claim("job")))])
    assert repr(claim) == "<Claim of 'job'>"
    claim.release()
    claim.release()
    assert not claim.held
    assert repr(claim) == "<Claim of 'job', released>"
    with d.claim("job") as again:
        assert again.held
        d["job"] = "swept"
    assert not again.held
    assert d["job"] == "swept"


def none(claim: object) -> None:
    assert claim is None


def test_a_claim_taken_twice_in_its_block_is_a_deadlock(d: ANYTHING) -> None:
    with d.claim(("job", 1)):
        with pytest.raises(DeadlockError, match=r"has the claim of the key \('job', 1\) already"):
            d.claim(("job", 1), timeout=workers.GUARD)
        assert d.claim(("job", 1)) is None


def test_a_claim_ends_with_the_object(d: ANYTHING) -> None:
    claim = d.claim("job")
    assert claim is not None
    del claim
    gc.collect()
    assert d.claim("job") is not None


def test_a_claim_ends_at_once_for_who_waits(d: ANYTHING) -> None:
    claim = d.claim("job")
    assert claim is not None
    got: list[object] = []

    def waits() -> None:
        got.append(d.claim("job", timeout=None))

    def releases() -> None:
        time.sleep(0.05)
        claim.release()

    workers.together(waits, releases)
    assert got[0] is not None


def test_a_computation_waits_for_a_claim(d: ANYTHING) -> None:
    with d.claim("value"):

        def asks() -> None:
            with pytest.raises(TimeoutError):
                d.get_or_compute("value", int, timeout=0.05)

        workers.together(asks)
    assert d.get_or_compute("value", int) == 0


def test_jobs_of_killed_workers_are_done_by_others(d: ANYTHING) -> None:
    jobs = range(40)
    d.set_many((("job", number), "open") for number in jobs)

    def work() -> None:
        while open_jobs := [key for key, value in d.scan(("job",)) if value == "open"]:
            for key in open_jobs:
                claim = d.claim(key, timeout=0.01)
                if claim is None:
                    continue
                with claim:
                    if d[key] == "open":
                        if d.add("begun") % 5 == 0 and d.add("killed") <= 5:
                            os.kill(os.getpid(), signal.SIGKILL)
                        d.add(("done", key))
                        d[key] = "closed"

    children = [workers.fork(work) for _ in range(8)]
    ends = [workers.status(pid) for pid in children]
    assert sorted(ends) == [-signal.SIGKILL] * 5 + [0] * 3
    assert all(d["job", number] == "closed" for number in jobs)
    assert all(d["done", ("job", number)] == 1 for number in jobs)


def test_bad_timeouts_are_refused_at_once(d: ANYTHING) -> None:
    for call in [lambda: d.lock("a", -1), lambda: d.claim("a", -1), lambda: d.lock("a").acquire(-1)]:
        with pytest.raises(ValueError, match="timeout is -1"):
            call()


@pytest.mark.parametrize("timeout", [True, False, "1", [1]])
def test_a_timeout_is_a_number(d: ANYTHING, timeout: Any) -> None:
    d["a"] = 1
    calls: list[Callable[[], object]] = [
        # Other locks take a bool for `blocking`: True would wait for one second, and not lock.
        lambda: d.lock("a").acquire(timeout),
        lambda: d.lock("a", timeout),
        lambda: d.claim("a", timeout),
        lambda: d.wait("a", timeout),
        lambda: d.wait_any(["a"], timeout),
        lambda: d.wait_change("a", 2, timeout),
        lambda: d.watch("a", timeout),
        lambda: d.get_or_compute("a", int, timeout),
        lambda: aio.lock(d, "a", timeout),
        lambda: asyncio.run(aio.lock(d, "a").acquire(timeout)),
        lambda: asyncio.run(aio.wait(d, "a", timeout)),
    ]
    for call in calls:
        message = f"timeout is {timeout!r}, and takes a number of seconds, or None"
        with pytest.raises(TypeError, match=re.escape(message)):
            call()
