"""Do waits in coroutines end as they should, let the loop run, and leave no thread behind?"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    MISSING,
    ClosedError,
    InvalidOptionError,
    KeyTypeError,
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


def test_the_module_is_there_when_it_is_first_used() -> None:
    program = """
import sys, shmtable
print("asyncio" in sys.modules, shmtable.aio.wait.__name__, hasattr(shmtable, "other"))
"""
    assert workers.output("-c", program, cwd="/") == "False wait False\n"


# Waiting for a value


def test_a_value_that_is_there_is_returned_at_once_and_without_a_thread(d: ANYTHING) -> None:
    d.update({"a": None, "b": [1]})

    async def main() -> None:
        assert await aio.wait(d, "a") is None
        assert await aio.wait(d, "b", timeout=0) == [1]
        assert threads() == []

    run(main)


@pytest.mark.parametrize("value", [None, 0, "text", [1], b"x" * 100_000])
def test_the_loop_runs_on_and_may_store_the_value_itself(d: ANYTHING, value: Any) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(aio.wait(d, "k"))
        await begun()
        assert not waiting.done()
        d["k"] = value
        assert await waiting == value

    run(main)


def test_another_process_wakes_a_task(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def answer() -> None:
            for number in range(100):
                d["answer", number] = d.wait(("question", number), workers.GUARD) + 1

        child = workers.fork(answer)

        async def main() -> None:
            for number in range(100):
                d["question", number] = number
                assert await aio.wait(d, ("answer", number)) == number + 1

        run(main)
        workers.all_well([child])


def test_a_wait_times_out_as_in_a_thread(d: ANYTHING) -> None:
    async def main() -> None:
        for timeout in (0, 0.01):
            with pytest.raises(WaitTimeoutError, match=f"waited {timeout}.* for the key 'k', and it"):
                await aio.wait(d, "k", timeout)
        with pytest.raises(InvalidOptionError, match="timeout is"):
            await aio.wait(d, "k", -1)
        with pytest.raises(KeyTypeError):
            await aio.wait(d, range(3))
        d["k"] = 1
        assert await aio.wait(d, "k", float("inf")) == 1

    run(main)


@pytest.mark.parametrize("capacity", [1000, 100_000])
def test_a_thousand_tasks_wait_in_one_thread(capacity: int) -> None:
    async def main() -> None:
        waits = [asyncio.create_task(aio.wait(d, number)) for number in range(1000)]
        await begun()
        assert len(threads()) == 1
        d.set_many((number, -number) for number in range(1000))
        assert await asyncio.gather(*waits) == [-number for number in range(1000)]
        assert len(threads()) == 1

    with SharedDict[Any, Any](capacity=capacity) as d:
        run(main)


def test_tasks_wait_for_keys_of_several_tables_and_handles(name: str, d: ANYTHING) -> None:
    async def main() -> None:
        handles = [d, SharedDict(capacity=10), SharedDict.open(name), reader]
        waits = [asyncio.create_task(aio.wait(handle, "k")) for handle in handles]
        await begun()
        for handle, value in zip(handles[:3], (1, 2, 3), strict=True):
            handle["k"] = value
        assert await asyncio.gather(*waits) == [1, 2, 3, 3]

    with SharedDict.create(name, capacity=10), SharedDict.open(name, read_only=True) as reader:
        run(main)


def test_waits_that_were_cancelled_leave_nothing(d: ANYTHING) -> None:
    async def main() -> None:
        for _ in range(5):
            waits = [asyncio.create_task(aio.wait(d, number)) for number in range(1000)]
            await begun()
            for wait in waits:
                wait.cancel()
            ended = await asyncio.gather(*waits, return_exceptions=True)
            assert {type(end) for end in ended} == {asyncio.CancelledError}
        of_loop = aio._waits()
        assert not of_loop._native and not of_loop._futures
        waiting = asyncio.create_task(aio.wait(d, "k"))
        await begun()
        d["k"] = 1
        assert await waiting == 1

    run(main)


def test_tasks_that_are_cancelled_while_their_values_come_lose_none(d: ANYTHING) -> None:
    async def main() -> None:
        for turn in range(200):
            one, other = (asyncio.create_task(aio.wait(d, turn)) for _ in range(2))
            await asyncio.sleep(0)
            storing = asyncio.to_thread(d.__setitem__, turn, "value")
            cancelling = asyncio.get_running_loop().call_later(turn % 5 / 10_000, one.cancel)
            await storing
            assert await other == "value"
            cancelling.cancel()
            (end,) = await asyncio.gather(one, return_exceptions=True)
            assert end == "value" or isinstance(end, asyncio.CancelledError)

    run(main)


def test_closing_the_handle_ends_a_wait(name: str) -> None:
    async def main() -> None:
        waiting = SharedDict.open(name)
        waits: list[asyncio.Task[Any]] = [
            asyncio.create_task(aio.wait(waiting, "k")),
            asyncio.create_task(anext_of(aio.watch(waiting, "k"), 2)),
            asyncio.create_task(aio.wait(d, "k")),
        ]
        await begun()
        waiting.close()
        for wait in waits[:2]:
            with pytest.raises(ClosedError):
                await wait
        assert not waits[2].done()
        d["k"] = 1
        assert await waits[2] == 1
        for refused in (aio.wait(waiting, "k"), aio.get_or_compute(waiting, "k", never)):
            with pytest.raises(ClosedError):
                await refused
        with pytest.raises(ClosedError):
            aio.watch(waiting, "k")

    with SharedDict.create(name, capacity=10) as d:
        run(main)


async def never() -> Any:
    raise AssertionError("this was called")


async def anext_of(watch: Any, times: int) -> Any:
    value = None
    for _ in range(times):
        value = await watch.__anext__()
    return value


def test_an_unpickled_handle_opens_its_table_for_a_wait(d: ANYTHING) -> None:
    d["k"] = 1

    async def main() -> None:
        with pickle.loads(pickle.dumps(d)) as again:
            assert await aio.wait(again, "k") == 1

    run(main)


# Watching


def test_a_watch_gives_the_present_value_and_each_change(d: ANYTHING) -> None:
    async def main() -> None:
        watch = aio.watch(d, "k")
        assert await anext_of(watch, 1) is MISSING
        for value in (1, [1], MISSING, None, 1.0, 1):
            if value is MISSING:
                del d["k"]
            else:
                d["k"] = value
            found = await anext_of(watch, 1)
            assert found == value
            assert type(found) is type(value)

    run(main)


def test_two_programs_talk_through_watches(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        async def answer() -> None:
            async for number in aio.watch(d, "question"):
                if number is not MISSING:
                    d["answer"] = number * 2
                if number == 50:
                    return

        async def ask() -> None:
            answers = aio.watch(d, "answer")
            assert await anext_of(answers, 1) is MISSING
            for number in range(1, 51):
                d["question"] = number
                assert await anext_of(answers, 1) == number * 2

        child = workers.fork(lambda: run(answer))
        run(ask)
        workers.all_well([child])


def test_after_a_timeout_a_watch_goes_on(d: ANYTHING) -> None:
    async def main() -> None:
        watch = aio.watch(d, "k", timeout=0.01)
        assert await anext_of(watch, 1) is MISSING
        for _ in range(2):
            with pytest.raises(WaitTimeoutError, match="0.01 s for the key 'k', and its value has not"):
                await anext_of(watch, 1)
        d["k"] = 1
        assert await anext_of(watch, 1) == 1

    run(main)
    with pytest.raises(InvalidOptionError, match="timeout is"):
        aio.watch(d, "k", -1)


def test_a_watch_that_is_cancelled_goes_on_where_it_was(d: ANYTHING) -> None:
    async def main() -> None:
        watch = aio.watch(d, "k")
        assert await anext_of(watch, 1) is MISSING
        waiting = asyncio.create_task(anext_of(watch, 1))
        await begun()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        d["k"] = 1
        assert await anext_of(watch, 1) == 1

    run(main)


# The end of a loop


def test_a_loop_that_ends_with_waits_leaves_no_thread(d: ANYTHING) -> None:
    ends: list[BaseException] = []

    async def wait(key: int) -> None:
        try:
            await aio.wait(d, key)
        except BaseException as error:
            ends.append(error)
            raise

    async def main() -> None:
        global _kept
        _kept = [asyncio.create_task(wait(key)) for key in range(100)]
        await begun()
        assert len(threads()) == 1

    run(main)
    assert len(ends) == 100
    assert {type(end) for end in ends} == {asyncio.CancelledError}


_kept: list[Any] = []


def test_a_loop_that_is_closed_without_its_end_leaves_no_thread_for_long(d: ANYTHING) -> None:
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(aio.wait(d, "k"))
    loop.run_until_complete(begun())
    left = threads()
    assert len(left) == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()
    left[0].join(workers.GUARD)
    assert threads() == []


def test_a_thread_without_waits_ends_and_the_next_wait_has_another(d: ANYTHING) -> None:
    async def main() -> None:
        for turn in range(2):
            waiting = asyncio.create_task(aio.wait(d, turn))
            await begun()
            d[turn] = 1
            await waiting
            (thread,) = threads()
            await asyncio.to_thread(thread.join, workers.GUARD)
            assert threads() == []

    run(main)


def test_loops_of_several_threads_have_a_thread_each(d: ANYTHING) -> None:
    together = threading.Barrier(4)

    def work(me: int) -> None:
        async def main() -> None:
            waits = [asyncio.create_task(aio.wait(d, (me, n))) for n in range(100)]
            await begun()
            await asyncio.to_thread(together.wait, workers.GUARD)
            assert len(threads()) == 4
            await asyncio.to_thread(together.wait, workers.GUARD)
            d.set_many((((me + 1) % 4, n), n) for n in range(100))
            assert await asyncio.gather(*waits) == list(range(100))

        asyncio.run(main())

    workers.together(*[lambda me=me: work(me) for me in range(4)])  # type: ignore[misc]
    assert threads() == []


def test_loops_that_are_gone_are_forgotten(d: ANYTHING) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await aio.wait(d, "k", 0.001)

    for _ in range(20):
        run(main)
    gc.collect()
    assert aio._of_loops == {}


def test_a_forked_child_has_loops_of_its_own(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        async def main() -> None:
            waiting = asyncio.create_task(aio.wait(d, "k"))
            await begun()
            child = workers.fork(in_child)
            assert await aio.wait(d, "from the child") == 1
            d["k"] = 2
            assert await waiting == 2
            await asyncio.to_thread(workers.all_well, [child])

        def in_child() -> None:
            # It isn't in the parent's loop.
            asyncio._set_running_loop(None)
            assert aio._of_loops == {}

            async def answer() -> None:
                d["from the child"] = 1
                assert await aio.wait(d, "k") == 2

            run(answer)

        run(main)


HEAD = """
import asyncio, threading
from shmtable import SharedDict, aio

d = SharedDict(capacity=100)

async def main():
    global kept
    kept = asyncio.ensure_future(aio.wait(d, "never"))
    await asyncio.sleep(0.1)
    print(len(threading.enumerate()) - before, flush=True)

before = len(threading.enumerate())
"""

PROGRAMS = {
    "a loop that is never closed": """
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "a loop of a daemon": """
def forever():
    loop = asyncio.new_event_loop()
    loop.create_task(main())
    loop.run_forever()

before += 1
threading.Thread(target=forever, daemon=True).start()
import time
time.sleep(1)
""",
    "exit in a coroutine": """
async def leave():
    await main()
    raise SystemExit

asyncio.run(leave())
""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_though_a_task_waits(program: str) -> None:
    assert workers.output("-c", HEAD + PROGRAMS[program], cwd="/") == "1\n"


def test_ctrl_c_ends_a_program_whose_tasks_wait() -> None:
    program = workers.start(HEAD + "asyncio.run(asyncio.wait_for(aio.wait(d, print(0, flush=True)), 999))")
    assert program.stdout is not None
    assert program.stdout.readline() == "0\n"
    # Until it waits.
    time.sleep(0.3)
    program.send_signal(signal.SIGINT)
    exit_code, _, errors = workers.ended(program)
    assert exit_code in (1, -signal.SIGINT, 130)
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_a_process_that_is_killed_while_it_waits_does_no_harm(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        async def main() -> None:
            d["here"] = os.getpid()
            await aio.wait(d, "k")

        child = workers.fork(lambda: asyncio.run(main()))
        d.wait("here", workers.GUARD)
        workers.kill(child)
        d["k"] = 1
        assert d.check() == []
