"""Does one of all tasks, threads and processes compute, and another one if it fails?"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    ComputeTimeoutError,
    DeadlockError,
    InvalidOptionError,
    NotStoredWarning,
    SharedDict,
    ValueTypeError,
    aio,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers
from workers import in_loop as run

ANYTHING = SharedDict[Any, Any]


def giving(value: Any, *before: Callable[[], object]) -> Callable[[], Awaitable[Any]]:
    """A coroutine function that does something, lets others run and returns a value."""

    async def compute() -> Any:
        for do in before:
            do()
        await asyncio.sleep(0.01)
        return value

    return compute


async def never() -> Any:
    raise AssertionError("this was called")


async def failing() -> Any:
    await asyncio.sleep(0.01)
    raise ZeroDivisionError


def test_a_value_that_is_there_is_not_computed(d: ANYTHING) -> None:
    d["k"] = None

    async def main() -> None:
        assert await aio.get_or_compute(d, "k", never) is None

    run(main)


def test_what_is_no_coroutine_function_is_refused(d: ANYTHING) -> None:
    async def main() -> None:
        not_called: Any = giving(1)()
        for _ in range(2):
            with pytest.raises(TypeError, match=r"a coroutine: pass the function .* not fetch\(\)"):
                await aio.get_or_compute(d, "k", not_called)
            d["k"] = 1
        plain: Any = lambda: 2  # noqa: E731
        with pytest.raises(TypeError, match="not return an awaitable, but 2: write it with async def"):
            await aio.get_or_compute(d, "other", plain)
        assert await aio.get_or_compute(d, "other", giving(3)) == 3

    run(main)


def test_a_computed_value_is_stored_and_returned_as_stored() -> None:
    async def main() -> None:
        assert await aio.get_or_compute(d, "k", giving((1, 2))) == [1, 2]
        assert d["k"] == [1, 2]

    with SharedDict[Any, Any](capacity=10, codec="msgpack") as d:
        run(main)


def test_of_the_tasks_of_a_loop_one_computes(d: ANYTHING) -> None:
    async def main() -> None:
        compute = giving(["value"], lambda: d.add("calls"))
        found = await asyncio.gather(*[aio.get_or_compute(d, "k", compute) for _ in range(1000)])
        assert found == [["value"]] * 1000
        assert d["calls"] == 1

    run(main)


def test_keys_are_computed_at_the_same_time(d: ANYTHING) -> None:
    async def main() -> None:
        meeting = asyncio.Event()
        here: list[int] = []

        async def compute() -> int:
            here.append(1)
            if len(here) == 100:
                meeting.set()
            await meeting.wait()
            return len(here)

        found = await asyncio.gather(*[aio.get_or_compute(d, n, compute) for n in range(100)])
        assert found == [100] * 100

    run(main)


def test_of_the_tasks_and_threads_of_several_processes_one_computes(name: str) -> None:
    rounds = 30

    def compute() -> int:
        d.add("calls")
        return os.getpid()

    async def compute_slowly() -> int:
        await asyncio.sleep(0.002)
        return compute()

    async def tasks() -> None:
        for number in range(rounds):
            await aio.wait(d, ("go", number))
            asked = [aio.get_or_compute(d, ("k", number), compute_slowly) for _ in range(20)]
            found = set(await asyncio.gather(*asked))
            assert found == {d["k", number]}
            d.add(("done", number))

    def threads() -> None:
        for number in range(rounds):
            d.wait(("go", number), workers.GUARD)
            assert d.get_or_compute(("k", number), compute) == d["k", number]
            d.add(("done", number))

    with SharedDict.create(name, capacity=1000) as d:
        children = [workers.fork(lambda: run(tasks)) for _ in range(3)]
        children.append(workers.fork(threads))
        for number in range(rounds):
            d["go", number] = True
            done = 0
            while done != 4:
                done = d.wait_change(("done", number), done, workers.GUARD)  # type: ignore[assignment]
            assert d["calls"] == number + 1
        workers.all_well(children)


def test_if_a_function_raises_the_next_task_calls_its_own(d: ANYTHING) -> None:
    async def main() -> None:
        asked = [aio.get_or_compute(d, "k", failing) for _ in range(5)]
        asked += [aio.get_or_compute(d, "k", giving(1)) for _ in range(5)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in found[:5]] == [ZeroDivisionError] * 5
        assert found[5:] == [1] * 5

    run(main)


def test_if_the_task_that_computes_is_cancelled_another_one_computes(d: ANYTHING) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def forever() -> Any:
            begun.set()
            await asyncio.Event().wait()

        computing = asyncio.create_task(aio.get_or_compute(d, "k", forever))
        await begun.wait()
        waiting = [asyncio.create_task(aio.get_or_compute(d, "k", giving(n))) for n in range(10)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        computing.cancel()
        found = await asyncio.gather(computing, *waiting, return_exceptions=True)
        assert [type(end) for end in found[:2]] == [asyncio.CancelledError] * 2
        assert set(found[2:]) == {d["k"]}

    run(main)


def test_storms_of_cancelled_tasks_leave_every_key_to_be_computed(d: ANYTHING) -> None:
    async def main() -> None:
        for turn in range(20):
            asked = [
                asyncio.create_task(aio.get_or_compute(d, (turn, n % 10), giving(n)))
                for n in range(200)
            ]
            await asyncio.sleep(turn % 4 * 0.004)
            for task in asked[::2]:
                task.cancel()
            found = await asyncio.gather(*asked, return_exceptions=True)
            for n, end in enumerate(found):
                assert isinstance(end, asyncio.CancelledError) or end == d[turn, n % 10]
            for n in range(10):
                assert await aio.get_or_compute(d, (turn, n), giving(n)) == d[turn, n]
        of_loop = aio._waits()
        assert not of_loop._native and not of_loop._futures

    run(main)


def test_if_the_process_that_computes_is_killed_another_one_computes(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        async def compute_for_ever() -> Any:
            d["computing"] = True
            await asyncio.Event().wait()

        child = workers.fork(lambda: run(lambda: aio.get_or_compute(d, "k", compute_for_ever)))
        d.wait("computing", workers.GUARD)

        async def main() -> None:
            asked = [asyncio.create_task(aio.get_or_compute(d, "k", giving(n))) for n in range(10)]
            await asyncio.sleep(0.2)
            assert not any(task.done() for task in asked)
            await asyncio.to_thread(workers.kill, child)
            assert set(await asyncio.gather(*asked)) == {d["k"]}

        run(main)


def test_a_value_that_is_stored_meanwhile_stands(d: ANYTHING) -> None:
    async def main() -> None:
        compute = giving("computed", lambda: d.__setitem__("k", "stored"))
        assert await aio.get_or_compute(d, "k", compute) == "stored"

    run(main)
    assert d["k"] == "stored"


def test_a_waiter_takes_a_value_that_is_stored_while_another_one_computes(d: ANYTHING) -> None:
    async def main() -> None:
        begun, over = threading.Event(), threading.Event()

        def compute() -> int:
            begun.set()
            over.wait(workers.GUARD)
            return 1

        computing = asyncio.create_task(asyncio.to_thread(d.get_or_compute, "k", compute))
        await asyncio.to_thread(begun.wait, workers.GUARD)
        waiting = [asyncio.create_task(aio.get_or_compute(d, "k", never)) for _ in range(10)]
        await asyncio.sleep(0.01)
        d["k"] = 2
        assert await asyncio.gather(*waiting) == [2] * 10
        over.set()
        assert await computing == 2

    run(main)


def test_a_wait_for_a_computation_times_out_and_the_function_does_not(d: ANYTHING) -> None:
    async def main() -> None:
        over = asyncio.Event()

        async def compute() -> int:
            await over.wait()
            return 1

        slow = asyncio.create_task(aio.get_or_compute(d, "k", compute, timeout=0.01))
        await asyncio.sleep(0.01)
        for timeout in (0, 0.05):
            with pytest.raises(ComputeTimeoutError, match=f"waited {timeout}.* for the value of .*'k'"):
                await aio.get_or_compute(d, "k", never, timeout)
        over.set()
        assert await slow == 1
        with pytest.raises(InvalidOptionError):
            await aio.get_or_compute(d, "k", never, -1)

    run(main)


def test_a_wait_for_another_process_times_out(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def compute() -> int:
            d["computing"] = True
            d.wait("over", workers.GUARD)
            return 1

        child = workers.fork(d.get_or_compute, "k", compute)
        d.wait("computing", workers.GUARD)

        async def main() -> None:
            asked = [aio.get_or_compute(d, "k", never, 0.1) for _ in range(10)]
            ends = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(end) for end in ends] == [ComputeTimeoutError] * 10
            d["over"] = True
            assert await aio.get_or_compute(d, "k", never) == 1

        run(main)
        workers.all_well([child])


# Computations within computations


def test_a_computation_may_ask_for_other_keys(d: ANYTHING) -> None:
    def fibonacci(n: int) -> Awaitable[int]:
        async def compute() -> int:
            d.add("calls")
            if n < 2:
                return n
            one, other = await asyncio.gather(fibonacci(n - 1), fibonacci(n - 2))
            return one + other

        return aio.get_or_compute(d, n, compute)

    async def main() -> None:
        assert await fibonacci(15) == 610

    run(main)
    assert d["calls"] == 16


def test_a_computation_that_asks_for_its_own_key_is_told_so(d: ANYTHING) -> None:
    async def main() -> None:
        async def compute() -> Any:
            return await aio.get_or_compute(d, "k", never)

        with pytest.raises(DeadlockError, match="for the key 'k' from inside its own computation"):
            await aio.get_or_compute(d, "k", compute)
        assert await aio.get_or_compute(d, "k", giving(1)) == 1

    run(main)


def test_of_computations_that_wait_for_each_other_one_gives_up(d: ANYTHING) -> None:
    async def main() -> None:
        both = asyncio.Event()
        here: list[str] = []

        def crosswise(other: str) -> Callable[[], Awaitable[Any]]:
            async def compute() -> Any:
                here.append(other)
                if len(here) == 2:
                    both.set()
                await both.wait()
                return await aio.get_or_compute(d, other, giving("instead"))

            return compute

        asked = [aio.get_or_compute(d, mine, crosswise(other)) for mine, other in ("ab", "ba")]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(end).__name__ for end in ends) == ["DeadlockError", "str"]

    run(main)


def test_a_coroutine_and_a_thread_that_wait_for_each_other_are_found(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def compute() -> Any:
            d["a is computed"] = True
            d.wait("b is computed", workers.GUARD)
            return d.get_or_compute("b", lambda: "instead")

        def ask() -> None:
            try:
                d["end"] = str(d.get_or_compute("a", compute))
            except DeadlockError:
                d["end"] = "deadlock"

        child = workers.fork(ask)

        async def compute_too() -> Any:
            d["b is computed"] = True
            return await aio.get_or_compute(d, "a", giving("instead"))

        async def main() -> Any:
            await aio.wait(d, "a is computed")
            try:
                end = str(await aio.get_or_compute(d, "b", compute_too))
            except DeadlockError:
                end = "deadlock"
            return {end, await aio.wait(d, "end")}

        assert run(main) == {"deadlock", "instead"}
        workers.all_well([child])


def test_a_task_that_a_computation_leaves_behind_is_no_part_of_it(d: ANYTHING) -> None:
    async def main() -> None:
        later: list[asyncio.Task[Any]] = []
        over = asyncio.Event()

        async def ask_later() -> Any:
            await over.wait()
            return await aio.get_or_compute(d, "k", never)

        async def compute() -> int:
            later.append(asyncio.create_task(ask_later()))
            return 1

        assert await aio.get_or_compute(d, "k", compute) == 1
        over.set()
        assert await later[0] == 1

    run(main)


# What is not stored


def test_a_value_without_room_is_returned_with_a_warning() -> None:
    async def main() -> None:
        with pytest.warns(NotStoredWarning, match="'k'"):
            assert await aio.get_or_compute(d, "k", giving("x" * 1_000_000)) == "x" * 1_000_000
        assert "k" not in d

    with SharedDict[Any, Any](capacity=10, value_space=1 << 16) as d:
        run(main)


def test_a_value_that_cannot_be_stored_leaves_the_key_to_the_next(d: ANYTHING) -> None:
    async def main() -> None:
        with pytest.raises(ValueTypeError):
            await aio.get_or_compute(d, "k", giving(lambda: 1))
        assert await aio.get_or_compute(d, "k", giving(1)) == 1

    run(main)


def test_the_plain_method_names_this_one_to_a_coroutine_function(d: ANYTHING) -> None:
    with pytest.raises(ValueTypeError, match=r"await shmtable.aio.get_or_compute\(d, key, function\)"):
        d.get_or_compute("k", giving(1))
