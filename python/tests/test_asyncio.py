"""Does a program with asyncio continue, and end, whatever its threads wait for?"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shmtable import SharedDict, ValueTypeError, WaitAbandonedError

sys.path.insert(0, str(Path(__file__).parent))
import workers
from workers import in_loop as run

ANYTHING = SharedDict[Any, Any]

# What one waits for that never comes: a key, a change, another one's computation.
WAITS = {
    "wait": "d.wait('never')",
    "wait with a long timeout": "d.wait('never', 1e6)",
    "wait_any": "d.wait_any(['never', 'nor this'])",
    "wait_change": "d.wait_change('never', shmtable.MISSING)",
    "get_or_compute": "d.get_or_compute('computed', int)",
}

HEAD = """
import asyncio, contextlib, threading
import shmtable

d = shmtable.SharedDict(capacity=100)

def compute_for_ever():
    computing.set()
    d.wait("never")

computing = threading.Event()
threading.Thread(target=d.get_or_compute, args=("computed", compute_for_ever), daemon=True).start()
computing.wait()

def waits():
    try:
        {wait}
    except shmtable.WaitAbandonedError:
        print("abandoned")
        raise
"""

# Programs that would never end if the thread waited on.
PROGRAMS = {
    "given up by wait_for": """
async def main():
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(waits), 0.1)
    print("given up")

asyncio.run(main())
""",
    "cancelled with the loop": """
async def main():
    asyncio.create_task(asyncio.to_thread(waits))
    await asyncio.sleep(0.1)
    print("given up")

asyncio.run(main())
""",
    "started and never awaited": """
async def main():
    asyncio.get_running_loop().run_in_executor(None, waits)
    await asyncio.sleep(0.1)
    print("given up")

asyncio.run(main())
""",
    "in a loop that is never closed": """
async def main():
    global future
    future = asyncio.get_running_loop().run_in_executor(None, waits)
    await asyncio.sleep(0.1)
    print("given up")

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "in an executor of the program's own": """
from concurrent.futures import ThreadPoolExecutor

async def main():
    with ThreadPoolExecutor(1) as executor:
        waiting = asyncio.get_running_loop().run_in_executor(executor, waits)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(waiting, 0.1)
        print("given up")

asyncio.run(main())
""",
}


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_though_a_thread_of_its_loop_waits(program: str, wait: str) -> None:
    script = HEAD.format(wait=WAITS[wait]) + PROGRAMS[program]
    assert workers.output("-c", script, cwd="/") == "given up\nabandoned\n"


def test_a_task_that_waits_in_a_thread_gets_the_value(d: ANYTHING) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(asyncio.to_thread(d.wait, "k", workers.GUARD))
        # More than one look at whether the task still waits.
        await asyncio.sleep(0.5)
        d["k"] = ["value"]
        assert await waiting == ["value"]

    run(main)


def test_tasks_that_were_cancelled_leave_their_threads_to_others(d: ANYTHING) -> None:
    async def main() -> None:
        # Many more than there are threads, one turn after another.
        for _ in range(4):
            waits = [asyncio.create_task(asyncio.to_thread(d.wait, "never")) for _ in range(20)]
            await asyncio.sleep(0.05)
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        d["k"] = 1
        assert await asyncio.to_thread(d.wait, "k") == 1

    run(main)


def test_waits_of_the_same_loop_in_one_computation_find_one_another(d: ANYTHING) -> None:
    async def main() -> list[Any]:
        compute = lambda: (d.add("calls"), "computed")[1]  # noqa: E731
        asked = [asyncio.to_thread(d.get_or_compute, "k", compute) for _ in range(10)]
        return await asyncio.gather(*asked)

    assert asyncio.run(main()) == ["computed"] * 10
    assert d["calls"] == 1


def test_an_executor_that_no_loop_uses_may_wait_as_long_as_it_likes(d: ANYTHING) -> None:
    async def nothing() -> None:
        await asyncio.to_thread(int)

    with ThreadPoolExecutor(1, thread_name_prefix="asyncio_") as own:
        waiting = own.submit(d.wait, "k")
        asyncio.run(nothing())
        with contextlib.suppress(concurrent.futures.TimeoutError):
            waiting.exception(timeout=0.5)
        d["k"] = 1
        assert waiting.result(workers.GUARD) == 1


def test_an_executor_that_is_told_to_end_still_waits_for_its_work(d: ANYTHING) -> None:
    own = ThreadPoolExecutor(1)
    waiting = own.submit(d.wait, "k")
    own.shutdown(wait=False)
    with contextlib.suppress(concurrent.futures.TimeoutError):
        waiting.exception(timeout=0.5)
    d["k"] = 1
    assert waiting.result(workers.GUARD) == 1


def test_a_loop_that_goes_on_elsewhere_takes_what_an_executor_waited_for(d: ANYTHING) -> None:
    async def main() -> Any:
        with ThreadPoolExecutor(1) as own:
            loop = asyncio.get_running_loop()
            waiting = loop.run_in_executor(own, d.wait, "k")
            own.shutdown(wait=False)
            await asyncio.sleep(0.5)
            d["k"] = 1
            return await waiting

    assert asyncio.run(main()) == 1


def test_the_error_of_a_wait_that_nobody_waits_for_reaches_no_task(d: ANYTHING) -> None:
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            d.wait("never")
        except BaseException as error:
            raised.append(error)
            raise

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(wait), 0.05)

    asyncio.run(main())
    assert [type(error) for error in raised] == [WaitAbandonedError]


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json", "raw"])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_coroutine_in_a_values_place_is_told_to_be_awaited(
    new: Callable[..., ANYTHING], codec: str
) -> None:
    async def value() -> int:
        return 1

    key: Any = b"k" if codec == "raw" else "k"
    d = new({key: b"1"} if codec == "raw" else {key: 1}, codec=codec)
    before = d.copy()
    stores: list[Callable[[], object]] = [
        lambda: d.__setitem__(key, value()),
        lambda: d.setdefault(key + key, value()),
        lambda: d.replace(key, value()),
        lambda: d.compare_exchange(key, before[key], value()),
        lambda: d.update_value(key, lambda old: value()),
        lambda: d.set_many({key: value()}),
    ]
    for store in stores:
        with pytest.raises(ValueTypeError, match="coroutine .*await it, and store its result"):
            store()
    assert d.copy() == before
