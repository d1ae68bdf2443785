"""Does one process compute the value of a key, whatever becomes of it, and do all get that?"""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


def forked(d: ANYTHING, *functions: Any) -> None:
    """Calls functions in forked children, which begin together and must end well."""
    children = [workers.fork(function) for function in functions]
    d["go"] = True
    workers.all_well(children)


def test_get_or_compute_calls_one_function_per_key(name: str) -> None:
    keys = range(60)
    with SharedDict.create(name, capacity=10_000) as d:

        def ask(me: int) -> None:
            d.wait("go", workers.GUARD)
            # Half of them in the other order, so that both wait for one another.
            for key in keys if me % 2 else reversed(keys):

                def compute(key: int = key) -> list[int]:
                    d.add(("calls", key))
                    os.sched_yield()
                    return [key, me]

                d["got", key, me] = d.get_or_compute(("value", key), compute)

        forked(d, *[lambda me=me: ask(me) for me in range(8)])
        for key in keys:
            assert d["calls", key] == 1
            value = d["value", key]
            assert value[0] == key
            assert [d["got", key, me] for me in range(8)] == [value] * 8


def test_get_or_compute_calls_one_function_of_8_threads(name: str) -> None:
    with SharedDict.create(name, capacity=1000) as d:
        for key in range(30):
            numbers = count()
            got: list[int] = []

            def ask() -> None:
                got.append(d.get_or_compute(key, lambda: [time.sleep(0.002), next(numbers)][1]))  # noqa: B023

            workers.together(*[ask] * 8)
            assert got == [0] * 8
            assert next(numbers) == 1


def test_get_or_compute_calls_nothing_if_there_is_a_value() -> None:
    def never() -> None:
        raise AssertionError("it was called")

    with SharedDict({"none": None, "a": 1}, capacity=10) as d:
        assert d.get_or_compute("a", never) == 1
        assert d.get_or_compute("none", never) is None


def compute_slowly(d: ANYTHING, then: Any) -> None:
    """Begins to compute "k", and ends as told once the others wait."""

    def compute() -> str:
        d["computing"] = os.getpid()
        d.wait("waiting", workers.GUARD)
        # They said so right before they began to.
        time.sleep(0.1)
        return then()

    assert d.get_or_compute("k", compute) == "slow"


def wait_for_it(d: ANYTHING, me: int) -> None:
    def compute() -> str:
        d.add("calls")
        return f"by {me}"

    d.wait("computing", workers.GUARD)
    d["waiting"] = True
    d["got", me] = d.get_or_compute("k", compute)


def test_others_get_the_value_that_one_computes_slowly(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        children = [workers.fork(compute_slowly, d, lambda: "slow")]
        children += [workers.fork(wait_for_it, d, me) for me in range(2)]
        workers.all_well(children)
        assert d["k"] == d["got", 0] == d["got", 1] == "slow"
        assert "calls" not in d


def test_an_exception_of_the_function_propagates_and_another_process_computes(name: str) -> None:
    def fail() -> str:
        raise ZeroDivisionError("deliberate")

    def expect_it(d: ANYTHING) -> None:
        with pytest.raises(ZeroDivisionError, match="deliberate"):
            compute_slowly(d, fail)

    with SharedDict.create(name, capacity=100) as d:
        children = [workers.fork(expect_it, d)]
        children += [workers.fork(wait_for_it, d, me) for me in range(2)]
        workers.all_well(children)
        assert d["calls"] == 1
        assert d["k"] == d["got", 0] == d["got", 1]


def test_a_value_that_cannot_be_stored_leaves_the_key_to_others(name: str) -> None:
    with SharedDict.create(name, capacity=100, codec="msgpack") as d:
        with pytest.raises(TypeError):
            d.get_or_compute("k", object)
        assert "k" not in d
        assert d.get_or_compute("k", lambda: 1) == 1


def test_a_computing_process_that_is_killed_is_replaced(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        victim = workers.fork(compute_slowly, d, lambda: d.wait("never"))
        others = [workers.fork(wait_for_it, d, me) for me in range(3)]
        assert d.wait("computing", workers.GUARD) == victim
        d.wait("waiting", workers.GUARD)
        time.sleep(0.1)
        assert "calls" not in d
        workers.kill(victim)
        workers.all_well(others)
        assert d["calls"] == 1
        assert {d["got", me] for me in range(3)} == {d["k"]}


def test_a_stopped_process_keeps_its_claim_until_it_goes_on(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        victim = workers.fork(compute_slowly, d, lambda: [d.wait("go on", workers.GUARD), "slow"][1])
        assert d.wait("computing", workers.GUARD) == victim
        os.kill(victim, signal.SIGSTOP)
        other = workers.fork(wait_for_it, d, 0)
        d.wait("waiting", workers.GUARD)
        time.sleep(0.3)
        d["go on"] = True
        assert "calls" not in d
        os.kill(victim, signal.SIGCONT)
        workers.all_well([victim, other])
        assert d["got", 0] == d["k"] == "slow"


def test_asking_for_the_key_that_is_being_computed_is_a_runtime_error() -> None:
    with SharedDict(capacity=10) as d, SharedDict.open(d.name) as other:
        for handle in (d, other):
            with pytest.raises(RuntimeError, match="inside its own computation"):
                d.get_or_compute("k", lambda: handle.get_or_compute("k", lambda: 1))  # noqa: B023
            assert "k" not in d
        # And it can be computed afterwards.
        assert d.get_or_compute("k", lambda: 1) == 1


def test_a_computation_may_ask_for_another_key_or_another_table() -> None:
    with SharedDict(capacity=10) as d, SharedDict(capacity=10) as other:

        def fibonacci(n: int) -> int:
            if n < 2:
                return n
            return d.get_or_compute(n, lambda: fibonacci(n - 1) + fibonacci(n - 2))

        assert fibonacci(8) == 21
        assert d.get_or_compute("k", lambda: other.get_or_compute("k", lambda: 1) + 1) == 2
        assert other["k"] == 1


def test_a_value_that_was_stored_during_its_computation_stands_and_is_returned() -> None:
    with SharedDict(capacity=10) as d, SharedDict.open(d.name) as other:

        def set_default() -> str:
            assert other.setdefault("k", ("winner",)) == ("winner",)
            return "computed"

        def add() -> int:
            return other.add("n", 5) and 0

        assert d.get_or_compute("k", set_default) == d["k"] == ("winner",)
        assert d.get_or_compute("n", add) == d["n"] == 5


def test_each_of_many_nested_computations_keeps_its_key(name: str) -> None:
    depth = 50
    with SharedDict.create(name, capacity=1000) as d:

        def nested(key: int) -> int:
            if key == depth:
                d["deep"] = True
                d.wait("asked", workers.GUARD)
                time.sleep(0.1)
                return depth
            return d.get_or_compute(key, lambda: nested(key + 1) - 1)

        def ask() -> None:
            d.wait("deep", workers.GUARD)
            d["asked"] = True
            assert d.get_or_compute(depth // 2, lambda: d.add("stolen")) == depth // 2

        child = workers.fork(ask)
        assert nested(0) == 0
        workers.all_well([child])
        assert "stolen" not in d
        assert [d[key] for key in range(depth)] == list(range(depth))
