"""Does a process that is killed at any moment harm others, or lose what it had stored?

Children do numbered steps, each of which is one operation, and write a step's number
to a file of their own after the operation returned. They are killed at random. The
number of a step alone decides what it does, so the last acknowledged step of a child tells
what the table holds of it; the step after it may be done or not.
"""

from __future__ import annotations

import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from shmtable import MISSING, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]

# A run that failed is repeated with SHMTABLE_SEED=... in the environment.
SEED = int(os.environ.get("SHMTABLE_SEED", random.SystemRandom().randrange(2**32)))
# 2000, multiplied by a variable that the Rust tests know too.
KILLS = int(2000 * float(os.environ.get("SHMTABLE_TEST_SCALE", "1")))
WORKERS = 4
KEYS = 24
SHARED_KEYS = 4
LARGE = 100_000


def body(stamp: int, length: int) -> bytes:
    """Bytes that no part of another body can be taken for."""
    return struct.pack("<Q", stamp) * (length // 8)


def sealed(stamp: int, length: int) -> tuple[int, int, bytes]:
    content = body(stamp, length)
    return stamp, crc32(content), content


def is_whole(value: Any) -> bool:
    stamp, checksum, content = value
    return content == body(stamp, len(content)) and crc32(content) == checksum


class Step:
    """What the step of a number does, and to which key."""

    def __init__(self, worker: int, number: int) -> None:
        self.worker, self.number = worker, number
        dice = random.Random(worker << 40 | number)
        self.key = (worker, dice.randrange(KEYS))
        self.shared_key = ("shared", dice.randrange(SHARED_KEYS))
        self.stamp = number << 8 | worker
        self.kind = dice.choices(
            ["store", "store large", "remove", "add", "shared", "exchange", "look"],
            [4, 2, 2, 3, 2, 2, 0.2],
        )[0]

    def do(self, d: ANYTHING) -> None:
        if self.kind == "store":
            # A list is MessagePack, a tuple a pickle.
            d[self.key] = list(sealed(self.stamp, 40)) if self.number % 2 else self.after(None)
        elif self.kind == "store large":
            d[self.key] = self.after(None)
        elif self.kind == "remove":
            d.pop(self.key, None)
        elif self.kind == "add":
            d.add("count")
            d.add(("count", self.worker))
        elif self.kind == "shared":
            length = LARGE if self.number % 4 == 0 else 64
            value = d.get(self.shared_key)
            assert value is None or is_whole(value)
            d[self.shared_key] = sealed(self.stamp, length)
        elif self.kind == "exchange":
            if not d.compare_exchange(self.key, MISSING, sealed(self.stamp, 80)):
                d.update_value(self.key, lambda _: sealed(self.stamp, 80))
        else:
            snapshot = d.snapshot()
            for (kind, _), value in ((k, v) for k, v in snapshot.items() if k != "count"):
                assert kind == "count" or is_whole(value)

    @property
    def changes_key(self) -> bool:
        return self.kind in ("store", "store large", "remove", "exchange")

    def after(self, before: Any) -> Any:
        """The value of the key after this step, `None` if there is none."""
        if self.kind == "store":
            return sealed(self.stamp, 40)
        if self.kind == "store large":
            return sealed(self.stamp, LARGE)
        if self.kind == "exchange":
            return sealed(self.stamp, 80)
        return None if self.kind == "remove" else before


def work(d: ANYTHING, worker: int, begin: int, acknowledge: int) -> None:
    """Does one step after the other, until it is killed."""
    # The parent goes first, who follows each step of all workers.
    os.nice(10)
    number = begin
    while True:
        Step(worker, number).do(d)
        os.write(acknowledge, number.to_bytes(8, "little"))
        number += 1


class Worker:
    """One child after another, and what is known of what they did."""

    def __init__(self, d: ANYTHING, worker: int, folder: Path) -> None:
        self.d, self.worker = d, worker
        self.file = os.open(folder / f"acknowledged by {worker}", os.O_RDWR | os.O_CREAT)
        self.read = 0
        self.next = 0
        self.adds = 0
        self.kills = 0
        self.keys: dict[Any, Any] = {}
        self.pid = 0
        self.start()

    def start(self) -> None:
        # What was not acknowledged is done again: then it is known to be done.
        self.pid = workers.fork(work, self.d, self.worker, self.next, self.file)

    def acknowledged(self) -> int:
        return os.fstat(self.file).st_size

    def learn(self) -> None:
        """Takes notice of what was acknowledged."""
        while number := os.pread(self.file, 8, self.read):
            assert int.from_bytes(number, "little") == self.next
            step = Step(self.worker, self.next)
            if step.changes_key:
                self.keys[step.key] = step.after(None)
            self.adds += step.kind == "add"
            self.read += 8
            self.next += 1

    def kill(self) -> None:
        workers.kill(self.pid)
        self.kills += 1
        self.learn()

    def check(self) -> None:
        """Holds the table against what a dead child is known to have done."""
        under_way = Step(self.worker, self.next)
        for key in [(self.worker, number) for number in range(KEYS)]:
            found = self.d.get(key)
            known = [self.keys.get(key)]
            if under_way.changes_key and under_way.key == key:
                known.append(under_way.after(known[0]))
            found = tuple(found) if isinstance(found, list) else found
            assert found in known, (key, found, known)
        count = self.d.get(("count", self.worker), 0)
        assert self.adds <= count <= self.adds + self.kills


def table(name: str) -> ANYTHING:
    return SharedDict.create(name, capacity=1000, value_space=32 << 20, lock_timeout=workers.GUARD)


def test_processes_killed_at_random_harm_nobody_and_lose_nothing(
    name: str, tmp_path: Path
) -> None:
    print(f"SHMTABLE_SEED={SEED}")
    dice = random.Random(SEED)
    with table(name) as d:
        crowd = [Worker(d, worker, tmp_path) for worker in range(WORKERS)]
        try:
            for kill in range(KILLS):
                time.sleep(dice.choice([0, 0.001, 0.003, 0.01]) * dice.random())
                victim = dice.choice(crowd)
                victim.kill()
                # Everybody else works on.
                if kill % 10 == 0:
                    others = [other for other in crowd if other is not victim]
                    before = [other.acknowledged() for other in others]
                    wait_until(
                        lambda: all(
                            other.acknowledged() > then
                            for other, then in zip(others, before, strict=True)  # noqa: B023
                        )
                    )
                victim.check()
                victim.start()
            for worker in crowd:
                worker.kill()
                worker.check()
        finally:
            for worker in crowd:
                try_to_kill(worker.pid)
                os.close(worker.file)
        kills = sum(worker.kills for worker in crowd)
        adds = sum(worker.adds for worker in crowd)
        print(f"{sum(worker.next for worker in crowd)} steps, {kills} kills, {d.stats()}")
        assert adds <= d["count"] <= adds + kills
        everything = d.copy()
        assert everything == d.snapshot()
        assert len(d) == len(everything)
        for number in range(SHARED_KEYS):
            assert is_whole(d["shared", number])
        # Whatever the dead held is free again, and so is their memory.
        assert d.stats()["participants"] == 1
        d.clear()
        for number in range(200):
            d["refilled", number] = sealed(number, LARGE)
        assert all(is_whole(value) for value in d.values())
        assert len(d) == 200


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + workers.GUARD
    while not holds():
        assert time.monotonic() < deadline, "a process waits for the dead"
        time.sleep(0.0005)


def try_to_kill(pid: int) -> None:
    """Kills a child of this process, if it still is one."""
    try:
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def killed_within(function: Callable[[], object], dice: random.Random) -> None:
    """Calls a function over and over in a child, and kills it soon."""

    def repeat() -> None:
        while True:
            function()

    child = workers.fork(repeat)
    time.sleep(dice.random() * 0.004)
    workers.kill(child)


@pytest.mark.parametrize("length", [8, 4000, 400_000])
def test_a_value_whose_writer_is_killed_is_the_old_or_the_new_one(name: str, length: int) -> None:
    print(f"SHMTABLE_SEED={SEED}")
    dice = random.Random(SEED)
    with table(name) as d:
        d["k"] = sealed(0, length)

        def write() -> None:
            d["k"] = sealed(d["k"][0] + 1, length)

        last = 0
        for _ in range(100):
            killed_within(write, dice)
            value = d["k"]
            assert is_whole(value)
            assert value[0] >= last
            last = value[0]
            assert len(d) == 1
        # Writing goes on, and nothing was lost of the room for values.
        for stamp in range(200):
            d["k"] = sealed(stamp, length)
            assert is_whole(d["k"])


def test_an_entry_whose_popper_is_killed_is_there_or_not(name: str) -> None:
    print(f"SHMTABLE_SEED={SEED}")
    dice = random.Random(SEED)
    with table(name) as d:
        for _ in range(100):
            d.update((number, sealed(number, 80)) for number in range(300))

            def pop() -> None:
                d.popitem() if d else time.sleep(1)

            killed_within(pop, dice)
            left = d.copy()
            assert len(d) == len(left)
            assert all(number == value[0] for number, value in left.items())
            assert all(map(is_whole, left.values()))


def test_many_values_whose_writer_is_killed_are_a_prefix_of_them(name: str) -> None:
    print(f"SHMTABLE_SEED={SEED}")
    dice = random.Random(SEED)
    with table(name) as d:
        for round_ in range(100):
            entries = {number: [round_, number] for number in range(800)}
            killed_within(lambda: d.set_many(entries), dice)  # noqa: B023
            stored = [d.get(number) == entries[number] for number in range(800)]
            assert stored == sorted(stored, reverse=True)
            assert all(value[1] == number for number, value in d.items())


def test_a_computation_goes_on_elsewhere_however_many_are_killed(name: str) -> None:
    print(f"SHMTABLE_SEED={SEED}")
    dice = random.Random(SEED)
    with table(name) as d:

        def compute(key: int) -> int:
            d.add(("begun", key))
            time.sleep(0.002)
            return d.add(("ended", key))

        for key in range(20):
            children = [
                workers.fork(lambda key=key: d.get_or_compute(key, lambda: compute(key)))
                for _ in range(5)
            ]
            for victim in children[:4]:
                time.sleep(dice.random() * 0.002)
                try_to_kill(victim)
            workers.all_well(children[4:])
            # At most one ended at a time, and the first that did is remembered, unless
            # it was killed before it stored what it had computed.
            assert 1 <= d[key] <= d["ended", key] <= d["begun", key] <= 5


def test_forked_children_that_are_killed_right_away_leave_no_trace(name: str) -> None:
    with table(name) as d:
        d["k"] = 0
        for _ in range(300):
            child = workers.fork(d.add, "k", 0)
            os.kill(child, signal.SIGKILL)
            workers.status(child)
        assert d["k"] == 0
        assert d.stats()["participants"] == 1
        # All of the places for handles can be had.
        handles = [SharedDict.open(name) for _ in range(127)]
        for number, handle in enumerate(handles):
            assert handle.add("k") == number + 1
        for handle in handles:
            handle.close()
