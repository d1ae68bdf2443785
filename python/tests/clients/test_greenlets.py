"""Do greenlets of gevent and eventlet share tables as threads do?"""

from __future__ import annotations

import subprocess
import sys

import pytest

# What the programs below say alike of both: `spawn`, `pause`, `Stop` and `stop_after`
# (which raise it after some time), and `join`, which gives values or raises.
HEADS = {
    "gevent": """
from gevent import monkey; monkey.patch_all()
import gevent
spawn, pause, Stop, stop_after = gevent.spawn, gevent.sleep, gevent.Timeout, gevent.Timeout.start_new

def join(*greenlets):
    return [greenlet.get() for greenlet in greenlets]
""",
    "eventlet": """
import warnings; warnings.simplefilter("ignore")
import eventlet; eventlet.monkey_patch()
spawn, pause, Stop, stop_after = eventlet.spawn, eventlet.sleep, eventlet.Timeout, eventlet.Timeout

def join(*greenlets):
    return [greenlet.wait() for greenlet in greenlets]
""",
}

COMMON = """
import threading, time
import shmtable
from shmtable import MISSING, SharedDict

d = SharedDict(capacity=1000)
ticks = []

def tick():
    while True:
        ticks.append(1)
        pause(.01)

def fails():
    pause(.01)
    raise ZeroDivisionError
"""

PROGRAMS = {
    "two that ask for one key: one computes, both get it": """
calls = []

def compute():
    calls.append(1)
    pause(.1)
    return len(calls)

assert join(*[spawn(d.get_or_compute, "k", compute) for _ in range(20)]) == [1] * 20
""",
    "a failed key is not refused, whatever else is computed": """
def ask(key, function):
    try:
        return d.get_or_compute(key, function)
    except ZeroDivisionError:
        return "failed"

slow = spawn(ask, "slow", lambda: (pause(.2), 1)[1])
assert join(*[spawn(ask, "k", fails) for _ in range(5)]) == ["failed"] * 5
assert join(spawn(ask, "k", lambda: 2)) == [2]
assert join(slow) == [1]
""",
    "one that asks for its own key gets a deadlock error": """
def ask():
    try:
        return d.get_or_compute("k", lambda: (pause(.01), d.get_or_compute("k", fails))[1])
    except shmtable.DeadlockError:
        return "deadlock"

assert join(spawn(ask), spawn(ask)) == ["deadlock"] * 2
""",
    "of those that ask crosswise one gets a deadlock error": """
def ask(mine, other):
    def compute():
        pause(.05)
        try:
            return d.get_or_compute(other, fails)
        except shmtable.DeadlockError:
            return "gave up"
    return d.get_or_compute(mine, compute)

assert join(spawn(ask, "a", "b"), spawn(ask, "b", "a")) == ["gave up"] * 2
""",
    "a wait lets others run": """
spawn(tick)
watch = d.watch("never", .5)
assert next(watch) is MISSING
held, computing = threading.Event(), threading.Event()

def hold():
    with d.lock("lock"), d.claim("job"):
        held.set()
        d.wait("over")

holding = spawn(hold)
computed = spawn(d.get_or_compute, "slow", lambda: (computing.set(), d.wait("over"))[1])
held.wait()
computing.wait()
WAITS = [
    lambda: d.wait("never", .5),
    lambda: d.wait_any(["never", "nor this"], .5),
    lambda: d.wait_change("never", MISSING, .5),
    lambda: next(watch),
    lambda: d.lock("lock", .5).__enter__(),
    lambda: d.claim("job", .5),
    lambda: d.get_or_compute("slow", fails, .5),
]
for wait in WAITS:
    before = len(ticks)
    try:
        assert wait() is None
    except TimeoutError:
        pass
    assert len(ticks) > before + 5, len(ticks)
d["over"] = True
assert join(holding, computed) == [None, True]
""",
    "greenlets hold a lock or a claim one at a time": """
inside = []

def enter(take):
    for _ in range(5):
        with take():
            assert not inside
            inside.append(1)
            pause(.001)
            inside.pop()

locks = [spawn(enter, lambda: d.lock("a")) for _ in range(20)]
join(*locks)
join(*[spawn(enter, lambda: d.claim("job", None)) for _ in range(20)])
""",
    "a lock taken twice, or crosswise, is a deadlock": """
def take(first, second):
    with d.lock(first):
        pause(.05)
        try:
            with d.lock(second):
                return "both"
        except shmtable.DeadlockError:
            return "told"

assert join(spawn(take, "a", "a")) == ["told"]
assert sorted(join(spawn(take, "a", "b"), spawn(take, "b", "a"))) == ["both", "told"]
""",
    "a greenlet that is killed gives back what it holds and waits for nothing": """
def hold():
    with d.lock("a"), d.claim("job"):
        pause(1000)

holding = spawn(hold)
pause(.01)
waiting = spawn(hold)
pause(.01)
waiting.kill()
holding.kill()
pause(.01)
assert d.lock("a").acquire(0)
assert d.claim("job") is not None
""",
    "a lock of a process that was killed goes to a greenlet": """
import os, signal
pid = os.fork()
if pid == 0:
    with d.lock("a"):
        d["held"] = True
        time.sleep(60)
spawn(tick)
d.wait("held")
taking = spawn(d.lock("a").acquire, 30)
pause(.1)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
assert join(taking) == [True]
""",
    "tasks of asyncio wait beside greenlets": """
import asyncio
from shmtable import aio

async def main():
    async with aio.lock(d, "a"):
        waiting = asyncio.create_task(aio.wait(d, "k"))
        taking = asyncio.create_task(aio.lock(d, "a").acquire())
        for _ in range(20):
            await asyncio.sleep(.001)
            ticks.append(1)
        spawn(d.__setitem__, "k", 1)
        assert await waiting == 1
    assert await taking

asyncio.run(main())
assert len(ticks) == 20
""",
    "a watch and a wait for any key give what another greenlet stores": """
def follow():
    for value in d.watch("k"):
        if value == 3:
            return value

following, any_of = spawn(follow), spawn(d.wait_any, ["never", "k"])
for value in (1, 2, 3):
    pause(.01)
    d["k"] = value
assert join(following, any_of) == [3, ("k", 1)]
""",
    "a wait ends with what another greenlet stores": """
waits = [spawn(d.wait, key) for key in "abc"]
change = spawn(d.wait_change, "a", MISSING)
pause(.05)
for key in "cba":
    spawn(d.__setitem__, key, key)
assert join(*waits, change) == ["a", "b", "c", "a"]
""",
    "waits of many greenlets end in any order": """
waits = [spawn(d.wait, number) for number in range(200)]
def store(number):
    pause(number * 7 % 13 * .003)
    d[number] = -number
stores = [spawn(store, number) for number in range(200)]
assert join(*waits) == [-number for number in range(200)]
""",
    "the framework's own timeout ends a wait": """
for wait in (d.wait, lambda key: d.wait_change(key, MISSING),
             lambda key: d.get_or_compute("computing", fails)):
    computing = spawn(d.get_or_compute, "computing", lambda: pause(.3))
    pause(.01)
    stop = stop_after(.05)
    try:
        wait("never")
    except Stop as raised:
        assert raised is stop
    else:
        raise AssertionError("it did not end")
    finally:
        stop.cancel()
    join(computing)
    d.pop("computing")
assert d.get_or_compute("computing", lambda: 1) == 1
""",
    "a greenlet that is killed while it waits or computes leaves its key to others": """
computing = spawn(d.get_or_compute, "k", lambda: pause(1000))
pause(.01)
waiting = spawn(d.get_or_compute, "k", lambda: "computed")
pause(.01)
computing.kill()
assert join(waiting) == ["computed"]
waiting = spawn(d.wait, "never")
pause(.01)
waiting.kill()
d["never"] = 1
assert join(spawn(d.wait, "never")) == [1]
""",
    "threads of the framework's pool wait as greenlets do": """
if "gevent" in globals():
    in_thread = gevent.get_hub().threadpool.spawn
else:
    import eventlet.tpool
    in_thread = lambda *call: spawn(eventlet.tpool.execute, *call)
waits = [in_thread(d.wait, "k", 60), in_thread(d.get_or_compute, "computed", lambda: d.wait("k"))]
waits.append(spawn(d.get_or_compute, "computed", lambda: d.wait("k")))
pause(.05)
d["k"] = 1
assert join(*waits) == [1, 1, 1]
""",
    "locks are waited for without a switch": """
import os, signal
spawn(tick)
pid = os.fork()
if pid == 0:
    while True:
        d.snapshot()
others = [spawn(lambda me=me: [d.add("n") for _ in range(2000)]) for me in range(3)]
join(*others)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
assert d["n"] == 6000
""",
}


@pytest.mark.parametrize("framework", HEADS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_greenlets(framework: str, program: str) -> None:
    script = HEADS[framework] + COMMON + PROGRAMS[program]
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
