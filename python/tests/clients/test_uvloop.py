"""Does a program with uvloop end, whatever its threads and tasks wait for?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import workers

HEAD = """
import asyncio, contextlib
import uvloop
import shmtable

d = shmtable.SharedDict(capacity=100)

def waits():
    try:
        d.wait("never")
    except shmtable.WaitAbandonedError:
        print("abandoned")
        raise

def run(main):
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
"""

PROGRAMS = {
    "given up by wait_for": """
async def main():
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(waits), 0.1)
    print("given up")

run(main)
""",
    "cancelled with the loop": """
async def main():
    asyncio.create_task(asyncio.to_thread(waits))
    await asyncio.sleep(0.1)
    print("given up")

run(main)
""",
    "started and never awaited, in a loop that is closed": """
async def main():
    global future
    future = asyncio.get_running_loop().run_in_executor(None, waits)
    await asyncio.sleep(0.1)
    print("given up")

loop = uvloop.new_event_loop()
loop.run_until_complete(main())
loop.close()
""",
    "in a loop that is never closed": """
async def main():
    global future
    future = asyncio.get_running_loop().run_in_executor(None, waits)
    await asyncio.sleep(0.1)
    print("given up")

uvloop.new_event_loop().run_until_complete(main())
""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_though_a_thread_of_its_loop_waits(program: str) -> None:
    printed = workers.output("-c", HEAD + PROGRAMS[program], cwd="/", patience=60)
    assert printed == "given up\nabandoned\n"


AIO = """
import asyncio, threading
import uvloop
from shmtable import SharedDict, aio

async def compute():
    d.add("calls")
    await asyncio.sleep(0.01)
    return "computed"

async def follow():
    async for value in aio.watch(d, "watched"):
        if value == 3:
            return value

async def hold(number):
    async with aio.lock(d, "lock"), aio.claim(d, "job", None):
        seen = d.get("sum", 0)
        await asyncio.sleep(0)
        d["sum"] = seen + number

async def main():
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    waits = [asyncio.create_task(aio.wait(d, number)) for number in range(1000)]
    watching = asyncio.create_task(follow())
    asked = [aio.get_or_compute(d, "k", compute) for _ in range(100)]
    assert await asyncio.gather(*asked) == ["computed"] * 100
    for number in range(1000):
        d[number] = -number
    assert await asyncio.gather(*waits) == [-number for number in range(1000)]
    d["watched"] = 3
    assert await watching == 3
    any_of = asyncio.create_task(aio.wait_any(d, ["one", "other"]))
    await asyncio.gather(*[hold(number) for number in range(100)])
    assert d["sum"] == sum(range(100))
    d["other"] = 1
    assert await any_of == ("other", 1)
    given_up = [asyncio.create_task(aio.wait(d, ("never", n))) for n in range(1000)]
    given_up += [asyncio.create_task(hold(0)) for _ in range(1000)]
    await asyncio.sleep(0.01)
    for task in given_up[::2]:
        task.cancel()
    print(d["calls"], threading.active_count() - before)

before = threading.active_count()
with SharedDict(capacity=10_000) as d:
    uvloop.run(main())
print(threading.active_count() - before)
"""


def test_waits_of_coroutines_share_a_thread_which_ends_with_the_loop() -> None:
    assert workers.output("-c", AIO, cwd="/", patience=60) == "1 1\n0\n"
