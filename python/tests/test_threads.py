"""May threads share a handle?"""

from __future__ import annotations

import pickle
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import GeneratorType
from typing import Any

import pytest

from shmtable import ClosedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
THREADS = 8


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def shared(name: str) -> Iterator[ANYTHING]:
    with SharedDict.create(name, capacity=20_000, value_space=32 << 20) as d:
        yield d


def in_threads(function: Callable[[int], object], threads: int = THREADS) -> None:
    """Calls a function in threads, each with a number of its own."""
    workers.together(*[lambda me=me: function(me) for me in range(threads)])


# Writing


@pytest.mark.parametrize("n", [1, 0.5, 2**70])
def test_threads_that_add_lose_nothing(shared: ANYTHING, n: float) -> None:
    in_threads(lambda _: [shared.add("k", n) for _ in range(5000)])
    assert shared["k"] == THREADS * 5000 * n


def test_threads_that_update_a_value_lose_nothing(shared: ANYTHING) -> None:
    def append(me: int) -> None:
        for number in range(50):
            shared.update_value("k", lambda now: [*now, (me, number)], [])  # noqa: B023

    in_threads(append)
    assert sorted(shared["k"]) == [(me, number) for me in range(THREADS) for number in range(50)]


def test_a_lock_made_of_compare_exchange_excludes_threads(shared: ANYTHING) -> None:
    shared["count"] = 0
    # For which its users wait.
    shared["go"] = True
    in_threads(lambda me: workers.lock_by_exchange(shared, me, 200), 4)
    assert shared["count"] == 800
    assert "lock" not in shared


def test_setdefault_has_one_winner_among_threads(shared: ANYTHING) -> None:
    got: list[list[int]] = [[] for _ in range(THREADS)]

    def claim(me: int) -> None:
        for key in range(500):
            got[me].append(shared.setdefault(key, me))

    in_threads(claim)
    assert got == [[shared[key] for key in range(500)]] * THREADS


def test_pop_and_popitem_give_each_entry_to_one_thread(shared: ANYTHING) -> None:
    shared.update((number, -number) for number in range(8000))
    popped: list[tuple[int, int]] = []

    def pop(me: int) -> None:
        if me % 2:
            for number in range(me * 1000, 8000):
                if (value := shared.pop(number, None)) is not None:
                    popped.append((number, value))
        else:
            while True:
                try:
                    popped.append(shared.popitem())
                except KeyError:
                    break

    in_threads(pop)
    assert sorted(popped) == [(number, -number) for number in range(8000)]
    assert len(shared) == 0


def test_each_thread_reads_what_it_wrote(shared: ANYTHING) -> None:
    def write(me: int) -> None:
        for number in range(2000):
            key = (me, number % 50)
            shared[key] = [me, number]
            assert shared[key] == [me, number]
            assert key in shared
            if number % 7 == 0:
                del shared[key]
                assert key not in shared

    in_threads(write)
    assert all(key[0] == value[0] for key, value in shared.items())


def test_large_values_of_one_key_are_never_torn(shared: ANYTHING) -> None:
    # Long enough for other threads to run while they are copied.
    def write(me: int) -> None:
        for number in range(40):
            shared["k"] = bytes([me]) * (100_000 + number)
            found = shared["k"]
            assert found == found[:1] * len(found)

    in_threads(write)
    assert len(shared) == 1


# Many at once


def test_threads_set_and_get_many_at_once(shared: ANYTHING) -> None:
    def work(me: int) -> None:
        keys = [(me, number) for number in range(1500)]
        for round_ in range(4):
            entries = {key: [round_, *key] for key in keys}
            if round_ % 2:
                shared.set_many(entries)
            else:
                shared.set_many(iter(entries.items()))
            assert shared.get_many(keys) == list(entries.values())

    in_threads(work)
    assert len(shared) == THREADS * 1500
    assert shared.copy() == {(me, n): [3, me, n] for me in range(THREADS) for n in range(1500)}


def test_copies_and_snapshots_are_whole_while_threads_write(shared: ANYTHING) -> None:
    shared.update((number, [0, number]) for number in range(3000))
    over = threading.Event()

    def write() -> None:
        round_ = 0
        while not over.is_set():
            round_ += 1
            shared.set_many({number: [round_, number] for number in range(3000)})

    def look() -> None:
        try:
            for _ in range(15):
                for found in (shared.copy(), shared.snapshot(), dict(shared.items())):
                    assert len(found) == 3000
                    assert all(value[1] == number for number, value in found.items())
        finally:
            over.set()

    workers.together(write, look, look)


def test_a_snapshot_is_one_moment_of_what_threads_move(shared: ANYTHING) -> None:
    """One thread counts two numbers up in turn: at any moment they differ by 1 at most."""
    over = threading.Event()
    shared.update(a=0, b=0)

    def write() -> None:
        while not over.is_set():
            shared.add("a")
            shared.add("b")

    def look() -> None:
        try:
            for _ in range(2000):
                snapshot = shared.snapshot()
                assert snapshot["a"] - snapshot["b"] in (0, 1)
        finally:
            over.set()

    workers.together(write, look)


# Iterators


@pytest.mark.parametrize("kind", ["keys", "values", "items"])
def test_threads_that_share_an_iterator_get_each_entry_once(shared: ANYTHING, kind: str) -> None:
    shared.update((number, number) for number in range(10_000))
    iterator = iter(getattr(shared, kind)())
    # Which refuses a second thread, if it comes at the wrong moment.
    assert not isinstance(iterator, GeneratorType)
    found: list[Any] = []
    in_threads(lambda _: found.extend(iterator))
    numbers = [entry[0] if kind == "items" else entry for entry in found]
    assert sorted(numbers) == list(range(10_000))
    with pytest.raises(StopIteration):
        next(iterator)


def test_an_iterator_sees_once_what_is_there_throughout(shared: ANYTHING) -> None:
    shared.update((("stays", number), number) for number in range(2000))
    over = threading.Event()

    def churn() -> None:
        number = 0
        while not over.is_set():
            number += 1
            shared["comes and goes", number % 3000] = number
            shared.pop(("comes and goes", (number * 7) % 3000), None)

    def look() -> None:
        try:
            for _ in range(15):
                seen = Counter(key for key in shared if key[0] == "stays")
                assert seen == Counter(("stays", number) for number in range(2000))
        finally:
            over.set()

    workers.together(churn, churn, look)


# Closing


READS: dict[str, Callable[[ANYTHING], object]] = {
    "get": lambda d: d["k"] == 1,
    "large": lambda d: d["large"] == b"x" * 200_000,
    "get_many": lambda d: d.get_many(["k"] * 3000) == [1] * 3000,
    "copy": lambda d: len(d.copy()) == 3002,
    "snapshot": lambda d: len(d.snapshot()) == 3002,
    "iterate": lambda d: len(list(d)) == 3002,
    "items": lambda d: len(list(d.items())) == 3002,
    "len": lambda d: len(d) == 3002,
    "stats": lambda d: d.stats()["entries"] == 3002,
    "add": lambda d: d.add("k", 0) == 1,
    "store": lambda d: d.__setitem__("k", 1) is None,
    "store large": lambda d: d.__setitem__("large", b"x" * 200_000) is None,
    "set_many": lambda d: d.set_many({"k": 1, "large": b"x" * 200_000}) is None,
    "update_value": lambda d: d.update_value("k", lambda now: now) == 1,
    "setdefault": lambda d: d.setdefault("k", 2) == 1,
    "get_or_compute": lambda d: d.get_or_compute("k", lambda: 2) == 1,
    "pickle": lambda d: pickle.loads(pickle.dumps(d)).name == d.name,
}


@pytest.mark.parametrize("way", READS)
def test_closing_in_one_thread_gives_others_values_or_closed_error(
    shared: ANYTHING, way: str
) -> None:
    shared.update(k=1, large=b"x" * 200_000)
    shared.update((number, number) for number in range(3000))
    for round_ in range(20):
        d = SharedDict.open(shared.name)
        began = threading.Barrier(4)

        def use() -> None:
            for number in range(1_000_000):
                try:
                    assert READS[way](d)  # noqa: B023
                except ClosedError:
                    return
                if number == 0:
                    began.wait(workers.GUARD)  # noqa: B023

        def close() -> None:
            began.wait(workers.GUARD)  # noqa: B023
            for _ in range(round_ * 20):
                pass
            d.close()  # noqa: B023

        workers.together(use, use, use, close)
        assert d.closed
    assert shared["k"] == 1
    assert shared["large"] == b"x" * 200_000


def test_closing_in_many_threads_at_once_is_fine() -> None:
    for _ in range(100):
        d = SharedDict({"a": 1}, capacity=10)
        name = d.name
        in_threads(lambda _: d.close(), 4)  # noqa: B023
        assert d.closed
        assert not workers.exists(name)


def test_threads_open_use_and_close_handles_of_their_own(shared: ANYTHING) -> None:
    def work(me: int) -> None:
        for number in range(100):
            with SharedDict.open(shared.name, read_only=number % 5 == 4) as d:
                if not d.read_only:
                    d.add("count")
                    d[me] = number
                else:
                    assert d[me] == number - 1

    in_threads(work)
    assert shared["count"] == THREADS * 80
    assert shared.stats()["participants"] == 1


def test_threads_make_and_fill_anonymous_tables(shared: ANYTHING) -> None:
    def work(me: int) -> None:
        for number in range(30):
            with SharedDict({number: me}, capacity=10) as d:
                assert d.copy() == {number: me}

    in_threads(work)


def test_threads_open_or_create_one_table(name: str) -> None:
    opened: list[ANYTHING] = []
    in_threads(lambda me: opened.append(SharedDict({me: me}, name=name, capacity=100)))
    assert len(opened) == THREADS
    for d in opened:
        assert d.copy() == {me: me for me in range(THREADS)}
        d.close()


def test_everything_at_once(shared: ANYTHING) -> None:
    """All methods from all threads: values that were stored, and nothing else."""

    def is_ours(value: Any) -> bool:
        return value[1] == value[0] * 2

    def work(me: int) -> None:
        for number in range(300):
            key = number * 31 % 40
            value = [number, number * 2]
            shared[key] = value
            shared.setdefault(key, value)
            shared.update_value(key, lambda now: [now[0] + 1, now[1] + 2], [0, 0])
            shared.compare_exchange(key, value, [7, 14])
            found = shared.get(key)
            assert found is None or is_ours(found)
            found = shared.pop(key, None)
            assert found is None or is_ours(found)
            shared.set_many({key: value, key + 1: value})
            assert all(found is None or is_ours(found) for found in shared.get_many(range(41)))
            assert is_ours(shared.get_or_compute(key, lambda: [1, 2]))
            if number % 50 == me:
                assert all(map(is_ours, shared.values()))
                assert all(map(is_ours, shared.copy().values()))
                assert all(map(is_ours, shared.snapshot().values()))
            if number % 100 == 10 * me:
                shared.clear()

    in_threads(work)
    assert all(map(is_ours, shared.values()))
