"""Does every call of `get_or_compute` end, with the value that all read or with a true error?"""

from __future__ import annotations

import contextvars
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    ComputeTimeoutError,
    DeadlockError,
    Error,
    NotStoredWarning,
    SharedDict,
    ValueTooLargeError,
    ValueTypeError,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


def fails() -> None:
    raise ZeroDivisionError("deliberate")


# Timeouts


def test_a_wait_for_another_ones_computation_ends_after_its_timeout(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def compute() -> str:
            d["computing"] = True
            return d.wait("go", workers.GUARD)

        child = workers.fork(d.get_or_compute, "k", compute)
        d.wait("computing", workers.GUARD)
        for timeout in (0, 0.05):
            with pytest.raises(ComputeTimeoutError, match=f"waited {timeout} s .* 'k'") as raised:
                d.get_or_compute("k", fails, timeout)
            assert isinstance(raised.value, TimeoutError)
        d["go"] = "computed"
        assert d.get_or_compute("k", fails, timeout=workers.GUARD) == "computed"
        workers.all_well([child])


def test_a_timeout_is_for_waiting_and_not_for_the_callers_own_computation(d: ANYTHING) -> None:
    assert d.get_or_compute("k", lambda: [1], timeout=0) == [1]
    assert d.get_or_compute("k", fails, timeout=0) == [1]


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_no_time_is_a_value_error(d: ANYTHING, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        d.get_or_compute("k", fails, timeout)


# Computations that wait for each other


def asks_on(d: ANYTHING, mine: str, other: str, all_compute: Callable[[], object]) -> str:
    """Computes one key, and asks for another once all compute. "own" is the value of one
    that was refused."""

    def compute() -> str:
        all_compute()
        try:
            return mine + d.get_or_compute(other, lambda: other)
        except DeadlockError as error:
            assert isinstance(error, (Error, RuntimeError))
            return "own"

    return d.get_or_compute(mine, compute)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_of_threads_that_ask_in_a_circle_one_gets_a_deadlock_error(
    d: ANYTHING, number: int
) -> None:
    keys = "abcde"[:number]
    barrier = threading.Barrier(number)
    asks = [
        lambda at=at: asks_on(d, keys[at], keys[(at + 1) % number], barrier.wait)
        for at in range(number)
    ]
    workers.together(*asks)
    values = sorted((d[key] for key in keys), key=len)
    # One gave up, and each of the others has what the next one computed.
    assert values[0] == "own"
    assert [len(value) for value in values] == [3 + at for at in range(number)]


def test_of_processes_that_ask_crosswise_one_gets_a_deadlock_error(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def both() -> None:
            d.add("computing")
            seen = 0
            while seen != 2:
                seen = d.wait_change("computing", seen, workers.GUARD)

        children = [workers.fork(asks_on, d, "a", "b", both), workers.fork(asks_on, d, "b", "a", both)]
        workers.all_well(children)
        assert {d["a"], d["b"]} in ({"own", "bown"}, {"own", "aown"})


def test_asking_for_the_own_key_through_other_keys_is_a_deadlock_error(d: ANYTHING) -> None:
    def ask(key: int) -> int:
        return d.get_or_compute(key % 3, lambda: ask(key + 1))

    with pytest.raises(DeadlockError, match="for the key 0 from inside its own computation"):
        ask(0)
    assert len(d) == 0
    assert d.get_or_compute(0, lambda: 1) == 1


def test_a_thread_that_runs_in_a_computations_context_is_part_of_it(d: ANYTHING) -> None:
    raised: list[DeadlockError] = []

    def ask() -> None:
        try:
            d.get_or_compute("k", fails)
        except DeadlockError as error:
            raised.append(error)

    def compute() -> int:
        # As asyncio.to_thread does it.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(ask,))
        thread.start()
        thread.join()
        return 1

    assert d.get_or_compute("k", compute) == 1
    assert len(raised) == 1


def test_a_context_that_was_copied_in_a_computation_outlives_it(d: ANYTHING) -> None:
    copies: list[contextvars.Context] = []
    d.get_or_compute("k", lambda: copies.append(contextvars.copy_context()))
    with pytest.raises(ZeroDivisionError):
        d.get_or_compute("other", lambda: (copies.append(contextvars.copy_context()), fails()))
    d.clear()
    for copy in copies:
        assert copy.run(d.get_or_compute, "k", lambda: 1) == 1
        assert copy.run(d.get_or_compute, "other", lambda: 2) == 2
        d.clear()


def test_another_thread_waits_for_a_key_that_this_one_computes(d: ANYTHING) -> None:
    got: list[int] = []

    def compute() -> int:
        # With no context of this one: before Python 3.14 no thread has it.
        thread = threading.Thread(
            target=contextvars.Context().run, args=(lambda: got.append(d.get_or_compute("k", fails)),)
        )
        thread.start()
        threads.append(thread)
        return 1

    threads: list[threading.Thread] = []
    assert d.get_or_compute("k", compute) == 1
    threads[0].join()
    assert got == [1]


def test_a_key_whose_computation_failed_may_be_computed_while_another_is(d: ANYTHING) -> None:
    def compute() -> int:
        with pytest.raises(ZeroDivisionError):
            d.get_or_compute("inner", fails)
        return d.get_or_compute("inner", lambda: 1) + 1

    assert d.get_or_compute("outer", compute) == 2


# Values that have no room


def refused(d: ANYTHING, value: object) -> str:
    """Stores a value under one key after another until there is no room for one."""
    for number in range(100_000):
        try:
            d[f"key {number}"] = value
        except (MemoryError, ValueTooLargeError):
            return f"key {number}"
    raise AssertionError("it is never full")


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json"])
def test_a_value_that_has_no_room_is_returned_with_a_warning(new: NEW, codec: str) -> None:
    for options, value, reason in (
        ({"capacity": 4}, (1, 2), "the table is full"),
        ({"value_space": 100_000}, ("y" * 90_000,), "no room for a record"),
        ({"value_space": 100_000}, ("x" * 100_000_000,), "the value is too large"),
    ):
        d = new(codec=codec, **options)
        key = refused(d, value)
        before = d.copy()
        for _ in range(2):
            with pytest.warns(NotStoredWarning, match=f"'{key}' was computed .*: {reason}") as warned:
                got = d.get_or_compute(key, lambda: value)  # noqa: B023
            # It says where it was called, and the value is what others would read.
            assert warned[0].filename == __file__
            assert got == (value if codec == "pickle" else list(value))
            assert d.copy() == before


def test_a_warning_that_is_an_error_is_raised(new: NEW) -> None:
    d = new(value_space=100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NotStoredWarning):
            d.get_or_compute("k", lambda: "x" * 100_000_000)
    # And the claim has ended.
    assert d.get_or_compute("k", lambda: 1) == 1


def test_nothing_is_warned_if_somebody_stored_a_value_meanwhile(new: NEW) -> None:
    d = new(value_space=100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = d.get_or_compute("k", lambda: (d.update(k="theirs"), "y" * 9000)[1])
    assert got == d["k"] == "theirs"


# Values that others read


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_the_caller_gets_what_others_read(new: NEW, codec: str) -> None:
    d = new(codec=codec)
    assert d.get_or_compute("k", lambda: (1, (2,))) == d["k"] == [1, [2]]


def test_a_value_that_another_process_stores_meanwhile_stands(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def compute() -> int:
            workers.all_well([workers.fork(d.add, "n", 5)])
            return 0

        assert d.get_or_compute("n", compute) == d["n"] == 5


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json", "raw"])
def test_an_async_function_is_refused_by_what_it_is(new: NEW, codec: str) -> None:
    async def compute() -> int:
        return 1

    d = new(codec=codec)
    key: Any = b"k" if codec == "raw" else "k"
    with warnings.catch_warnings():
        # No warning that the coroutine was never awaited.
        warnings.simplefilter("error")
        for function in (compute, lambda: compute()):
            with pytest.raises(ValueTypeError, match="takes a plain function, and this one is async"):
                d.get_or_compute(key, function)
    assert key not in d
