"""Does one task at a time hold a lock or a claim, and is it given back however the task ends?"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    Claim,
    ClosedError,
    InvalidOptionError,
    KeyTypeError,
    Lock,
    ReadOnlyError,
    SharedDict,
    WaitTimeoutError,
    aio,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers
from workers import begun
from workers import in_loop as run
from workers import loop_threads as threads

ANYTHING = SharedDict[Any, Any]


# Who has it


def test_tasks_of_one_thread_hold_a_lock_one_at_a_time(d: ANYTHING) -> None:
    d["sum"] = 0

    async def add() -> None:
        async with aio.lock(d, "sum"):
            seen = d["sum"]
            await asyncio.sleep(0)
            d["sum"] = seen + 1

    async def main() -> None:
        await asyncio.gather(*[add() for _ in range(200)])
        assert aio._waits().queues == {}

    run(main)
    assert d["sum"] == 200


def test_tasks_and_threads_of_processes_hold_a_lock_one_at_a_time(d: ANYTHING) -> None:
    rounds = 20
    d["sum"] = 0

    async def add_in_task() -> None:
        for _ in range(rounds):
            async with aio.lock(d, "sum", workers.GUARD):
                seen = d["sum"]
                await asyncio.sleep(0)
                d["sum"] = seen + 1

    def add() -> None:
        for _ in range(rounds):
            with d.lock("sum", workers.GUARD):
                d["sum"] = d["sum"] + 1

    async def main() -> None:
        await asyncio.gather(asyncio.to_thread(add), *[add_in_task() for _ in range(3)])

    workers.all_well([workers.fork(lambda: run(main)) for _ in range(3)])
    assert d["sum"] == 3 * 4 * rounds


def test_a_task_that_takes_a_lock_again_and_again_leaves_it_to_others(d: ANYTHING) -> None:
    order: list[int] = []

    async def take(me: int) -> None:
        for _ in range(3):
            async with aio.lock(d, "a"):
                order.append(me)
                await begun()

    async def main() -> None:
        await asyncio.gather(*[take(me) for me in range(3)])

    run(main)
    assert order == [0, 1, 2] * 3


def test_a_lock_that_is_free_takes_no_thread(d: ANYTHING) -> None:
    async def main() -> None:
        async with aio.lock(d, "a") as lock, aio.claim(d, "a") as claim:
            assert lock.held
            assert claim.held
        assert await aio.claim(d, "b") is not None
        assert threads() == []

    run(main)


def test_an_object_may_be_shared_by_tasks(d: ANYTHING) -> None:
    inside: list[int] = []

    async def main() -> None:
        lock = aio.lock(d, "a")

        async def take() -> None:
            async with lock:
                inside.append(1)
                assert len(inside) == 1
                await begun()
                inside.pop()

        await asyncio.gather(*[take() for _ in range(20)])
        assert repr(lock) == "<aio.Lock 'a', not held by this object>"

    run(main)


def test_acquire_and_release_tell_who_holds_the_lock(d: ANYTHING) -> None:
    async def main() -> None:
        one, other = aio.lock(d, "a"), aio.lock(d, "a")
        assert await one.acquire(0)
        assert (one.held, other.held, one.name) == (True, False, "a")
        assert repr(one) == "<aio.Lock 'a', held by this object>"
        waiting = asyncio.create_task(other.acquire())
        assert not await other.acquire(0)
        assert not await asyncio.create_task(other.acquire(0.01))
        with pytest.raises(RuntimeError, match="does not hold the lock 'a'"):
            other.release()
        one.release()
        assert await waiting
        assert (one.held, other.held) == (False, True)
        other.release()

    run(main)


def test_a_claim_is_awaited_or_entered(d: ANYTHING) -> None:
    async def main() -> None:
        claim = await aio.claim(d, "job")
        assert isinstance(claim, Claim)
        assert (claim.key, claim.held) == ("job", True)
        assert await aio.claim(d, "job") is None
        assert await asyncio.create_task(take(0.01)) is None
        with pytest.raises(WaitTimeoutError, match=r"waited 0 s for the claim of the key 'job', which"):
            async with aio.claim(d, "job"):
                pytest.fail("it is not free")
        asking = asyncio.create_task(take(None))
        await begun()
        claim.release()
        claim = await asking
        assert claim is not None
        with claim:
            assert d.claim("job") is None
        async with aio.claim(d, "job") as claim:
            assert d.claim("job") is None
        assert not claim.held

    async def take(timeout: float | None) -> Claim[str] | None:
        return await aio.claim(d, "job", timeout)

    run(main)


def test_a_claim_that_nothing_refers_to_is_free(d: ANYTHING) -> None:
    async def main() -> None:
        claim = await aio.claim(d, "job")
        assert claim is not None
        del claim
        gc.collect()
        assert await aio.claim(d, "job") is not None

    run(main)


def test_a_lock_that_is_not_free_in_time_raises_and_says_which(d: ANYTHING) -> None:
    async def main() -> None:
        with d.lock("printer"):
            for timeout in (0, 0.01):
                with pytest.raises(WaitTimeoutError, match=rf"waited {timeout}.* for the lock 'printer'"):
                    await asyncio.create_task(take(timeout))
        await take(0)

    async def take(timeout: float) -> None:
        async with aio.lock(d, "printer", timeout):
            pass

    run(main)


def test_what_can_be_no_lock_or_claim_is_refused_at_once(name: str) -> None:
    async def main() -> None:
        for make in (aio.lock, aio.claim):
            with pytest.raises(InvalidOptionError, match="timeout is"):
                make(d, "a", -1)
            with pytest.raises(KeyTypeError):
                make(d, range(3))
            with pytest.raises(ClosedError):
                make(closed, "a")
        with pytest.raises(InvalidOptionError, match="timeout is"):
            await aio.lock(d, "a").acquire(-1)
        with pytest.raises(ReadOnlyError):
            await aio.lock(reader, "a").acquire()
        with pytest.raises(ReadOnlyError):
            await aio.claim(reader, "a")

    with SharedDict[Any, Any].create(name, capacity=10) as d:
        closed = SharedDict[Any, Any].open(name)
        closed.close()
        with SharedDict[Any, Any].open(name, read_only=True) as reader:
            run(main)


# How it ends


def test_a_task_that_is_cancelled_gives_back_what_it_has_and_waits_for_nothing(d: ANYTHING) -> None:
    async def hold() -> None:
        async with aio.lock(d, "a"), aio.claim(d, "job", None):
            await asyncio.Event().wait()

    async def main() -> None:
        tasks = [asyncio.create_task(hold()) for _ in range(10)]
        for task in tasks:
            await begun()
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        assert await aio.lock(d, "a").acquire(0)
        assert await aio.claim(d, "job") is not None
        of_loop = aio._waits()
        assert not of_loop._native and not of_loop._futures and not of_loop.queues

    run(main)


def test_storms_of_cancelled_tasks_lose_no_lock(d: ANYTHING) -> None:
    async def hold(turn: int) -> None:
        async with aio.lock(d, turn % 3):
            await asyncio.sleep(0.0001)

    async def main() -> None:
        for turn in range(30):
            tasks = [asyncio.create_task(hold(n)) for n in range(60)]
            await asyncio.sleep(turn % 5 * 0.0007)
            for task in tasks[:: 2 + turn % 2]:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(end) for end in ends} <= {asyncio.CancelledError, type(None)}
            for name in range(3):
                assert await aio.lock(d, name).acquire(0)

    run(main)


def test_the_end_of_a_loop_gives_back_what_its_tasks_have(d: ANYTHING) -> None:
    async def hold() -> None:
        async with aio.lock(d, "a"):
            await asyncio.Event().wait()

    async def main() -> None:
        global _kept
        _kept = [asyncio.create_task(hold()) for _ in range(3)]
        await begun()

    run(main)
    assert d.lock("a").acquire(0)


_kept: list[Any] = []


def held_by_another_thread(d: ANYTHING, name: str) -> Lock:
    """A lock that the code which calls this doesn't have: its waits end when it is released."""
    lock = d.lock(name)
    workers.together(lambda: lock.acquire(0))
    return lock


def test_a_loop_that_has_stopped_is_given_no_lock(d: ANYTHING) -> None:
    loop = asyncio.new_event_loop()
    held = held_by_another_thread(d, "a")
    waiting = loop.create_task(aio.lock(d, "a").acquire())
    loop.run_until_complete(begun())
    held.release()
    # More than one round of its thread.
    time.sleep(0.2)
    assert d.lock("a").acquire(0)
    assert loop.run_until_complete(waiting)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_a_killed_process_loses_its_lock_to_a_task(d: ANYTHING) -> None:
    async def hold() -> None:
        async with aio.lock(d, "a"), aio.claim(d, "job"):
            d["held"] = os.getpid()
            await asyncio.Event().wait()

    child = workers.fork(lambda: run(hold))
    d.wait("held", workers.GUARD)

    async def main() -> None:
        both = [asyncio.create_task(aio.lock(d, "a").acquire())]
        both.append(asyncio.create_task(take()))
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in both)
        await asyncio.to_thread(workers.kill, child)
        assert await asyncio.gather(*both) == [True, True]

    async def take() -> bool:
        return await aio.claim(d, "job", None) is not None

    run(main)


def test_closing_the_handle_ends_a_wait(name: str) -> None:
    async def main() -> None:
        waiting = SharedDict[Any, Any].open(name)
        tasks = [asyncio.create_task(aio.lock(waiting, "a").acquire())]
        tasks.append(asyncio.create_task(take(waiting)))
        await begun()
        waiting.close()
        for task in tasks:
            with pytest.raises(ClosedError):
                await task

    async def take(d: ANYTHING) -> bool:
        return await aio.claim(d, "job", None) is not None

    with SharedDict[Any, Any].create(name, capacity=10) as d:
        lock, claim = held_by_another_thread(d, "a"), d.claim("job")
        run(main)
        assert lock.held
        assert claim is not None


# Waiting for any of several keys


def test_any_of_several_keys_ends_a_wait(d: ANYTHING) -> None:
    async def main() -> None:
        keys = ["a", ("b", 1), 3]
        for turn, key in enumerate(keys):
            waiting = asyncio.create_task(aio.wait_any(d, iter(keys)))
            await begun()
            assert not waiting.done()
            d[key] = turn
            assert await waiting == (key, turn)
            # It is there already.
            assert await aio.wait_any(d, keys) == (key, turn)
            del d[key]
        d.update({3: 0, "a": 1})
        assert await aio.wait_any(d, keys) == ("a", 1)

    run(main)


def test_a_wait_for_several_keys_times_out_and_is_cancelled(d: ANYTHING) -> None:
    async def main() -> None:
        for timeout in (0, 0.01):
            with pytest.raises(WaitTimeoutError, match="for the key 'a', and 1 more, and none has a"):
                await aio.wait_any(d, ["a", "b"], timeout)
        with pytest.raises(InvalidOptionError, match="was given no keys"):
            await aio.wait_any(d, [])
        with pytest.raises(InvalidOptionError, match="timeout is"):
            await aio.wait_any(d, ["a"], -1)
        waiting = asyncio.create_task(aio.wait_any(d, range(1000)))
        await begun()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not aio._waits()._native

    run(main)
