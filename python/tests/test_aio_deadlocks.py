"""Are callers that would wait for each other forever told so, in tasks and beside them?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import DeadlockError, SharedDict, aio

sys.path.insert(0, str(Path(__file__).parent))
import workers
from workers import begun
from workers import in_loop as run

ANYTHING = SharedDict[Any, Any]


def test_a_lock_taken_twice_by_a_task_is_a_deadlock(d: ANYTHING) -> None:
    async def main() -> None:
        async with aio.lock(d, "a"):
            with pytest.raises(DeadlockError, match="has the lock 'a' already"):
                async with aio.lock(d, "a", workers.GUARD):
                    pytest.fail("it waited for itself")
            assert not await asyncio.create_task(aio.lock(d, "a").acquire(0))

    run(main)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_holders_that_wait_for_each_other_are_told(d: ANYTHING, elsewhere: bool) -> None:
    async def take(first: str, second: str) -> None:
        async with aio.lock(d, first):
            d[first] = True
            await aio.wait(d, second)
            try:
                async with aio.lock(d, second, workers.GUARD):
                    d.add("both")
            except DeadlockError:
                d.add("told")

    async def main() -> None:
        if elsewhere:
            await take("a", "b")
        else:
            await asyncio.gather(take("a", "b"), take("b", "a"))

    children = [workers.fork(lambda: run(lambda: take("b", "a")))] if elsewhere else []
    run(main)
    workers.all_well(children)
    assert (d["both"], d["told"]) == (1, 1)


def test_a_task_that_was_started_with_a_lock_is_another_caller(d: ANYTHING) -> None:
    order: list[str] = []

    async def later() -> None:
        async with aio.lock(d, "a"):
            order.append("later")
        assert await aio.get_or_compute(d, "k", compute) == 1

    async def compute() -> int:
        return 1

    async def main() -> None:
        async with aio.lock(d, "a"), aio.claim(d, "k"):
            task = asyncio.create_task(later())
            await asyncio.sleep(0.1)
            order.append("first")
        await task

    run(main)
    assert order == ["first", "later"]


def test_a_lock_and_a_computation_that_wait_for_each_other_are_told(d: ANYTHING) -> None:
    async def compute() -> int:
        d["computing"] = True
        async with aio.lock(d, "a", workers.GUARD):
            return 1

    async def never() -> int:
        raise AssertionError("this was called")

    async def hold() -> object:
        async with aio.lock(d, "a"):
            await aio.wait(d, "computing")
            return await aio.get_or_compute(d, "k", never)

    async def main() -> None:
        holding = asyncio.create_task(hold())
        await begun()
        computing = asyncio.create_task(aio.get_or_compute(d, "k", compute))
        ends = await asyncio.gather(holding, computing, return_exceptions=True)
        assert sorted(type(end).__name__ for end in ends) in (
            ["DeadlockError", "int"],
            # The computation had the key's value from none.
            ["AssertionError", "DeadlockError"],
        )

    run(main)


def test_the_end_of_a_lock_ends_what_it_says_about_tasks_it_started(d: ANYTHING) -> None:
    """A computation's tasks hold its claim until it ends; then nobody waits in a circle."""

    async def main() -> None:
        over = asyncio.Event()
        later: list[asyncio.Task[bool]] = []

        async def compute() -> int:
            later.append(asyncio.create_task(aio.lock(d, "a").acquire()))
            await over.wait()
            return 1

        async with aio.lock(d, "a"):
            computing = asyncio.create_task(aio.get_or_compute(d, "k", compute))
            await begun()
            over.set()
            assert await computing == 1
            del d["k"]
            # The task still waits for the lock, and has the key no more.
            async with aio.claim(d, "k", workers.GUARD):
                pass
        assert await later[0]

    run(main)


def test_a_plain_wait_for_what_a_task_of_its_loop_has_is_told(d: ANYTHING) -> None:
    async def compute() -> int:
        await asyncio.Event().wait()
        return 1

    async def hold_plainly() -> None:
        with d.lock("plain"):
            await asyncio.Event().wait()

    async def hold() -> None:
        async with aio.lock(d, "a"), aio.claim(d, "job"):
            await asyncio.Event().wait()

    calls: dict[str, Callable[[], object]] = {
        "the lock 'plain' is held .* use async with shmtable.aio.lock": d.lock("plain").__enter__,
        "the lock 'a' is held by a task of this event loop": d.lock("a").acquire,
        "the claim of the key 'job' .* use shmtable.aio.claim": lambda: d.claim("job", None),
        "the claim to compute the key 'k' .* use await": lambda: d.get_or_compute("k", int),
    }

    async def main() -> None:
        holding = [asyncio.create_task(hold()), asyncio.create_task(hold_plainly())]
        holding.append(asyncio.create_task(aio.get_or_compute(d, "k", compute)))
        await begun()
        for message, call in calls.items():
            with pytest.raises(DeadlockError, match=message):
                call()
        assert not d.lock("a").acquire(0)
        assert d.claim("job") is None
        # In a thread they wait.
        waiting = asyncio.create_task(asyncio.to_thread(d.lock("a").acquire))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        for task in holding:
            task.cancel()
        assert await waiting
        for call in list(calls.values())[2:]:
            call()

    run(main)
