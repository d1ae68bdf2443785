"""Does a table that was given no size take what it is given, up to the bounds that were set?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    InvalidOptionError,
    MaxBytesReachedError,
    SharedDict,
    TableFullError,
    TooSmallError,
    ValueSpaceFullError,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]

CHILDREN = 3
# Of each child; and so many of all together are sure to double every stripe several times.
ENTRIES = 100_000


@pytest.fixture
def grown() -> Iterator[Callable[..., ANYTHING]]:
    made: list[ANYTHING] = []

    def create(initial: Any = None, **options: Any) -> ANYTHING:
        made.append(SharedDict(initial, **options))
        return made[-1]

    yield create
    for d in made:
        d.close()


def memory(d: ANYTHING) -> int:
    """The bytes of memory that the system has given to a table."""
    return os.stat(f"/dev/shm/shmtable.{d.name}").st_blocks * 512


def test_an_empty_table_takes_less_than_a_megabyte(grown: NEW) -> None:
    d = grown()
    stats = d.stats()
    assert stats["grows"] == 1
    assert d.capacity == stats["capacity"] == 1 << 32
    assert stats["memory_bytes"] == memory(d) < 1 << 20
    d["small"] = 1
    d["large"] = "x" * 1000
    assert d.stats()["memory_bytes"] == memory(d) < 3 << 19
    # Sixteen of them are less than one table had before.
    assert sum(memory(grown()) for _ in range(16)) < 16 << 20


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_table_without_a_size_takes_what_several_processes_store(
    grown: NEW, method: str
) -> None:
    d = grown()
    children = [
        workers.context(method).Process(target=workers.fill, args=(d, child, ENTRIES))
        for child in range(CHILDREN)
    ]
    for child in children:
        child.start()
    # A reader sees the table grow, and misses nothing that it saw before.
    seen: set[Any] = set()
    while any(child.is_alive() for child in children):
        now = set(d)
        assert seen <= now
        seen = now
    workers.joined(*children)
    assert len(d) == CHILDREN * ENTRIES
    for child in range(CHILDREN):
        for number in range(ENTRIES):
            assert d[child, number] == workers.filled(child, number)
    keys = set(d)
    assert len(keys) == CHILDREN * ENTRIES
    assert all((child, ENTRIES) not in d for child in range(CHILDREN))
    stats = d.stats()
    assert stats["entries"] < stats["slots"] < 4 * stats["entries"]
    assert d.check() == []
    d.clear()
    assert len(d) == 0 and not list(d)


@pytest.mark.parametrize("options", [{"max_capacity": 5000}, {"capacity": 10, "max_capacity": 5000}])
def test_a_table_grows_to_its_maximum_and_loses_nothing_there(
    grown: NEW, options: dict[str, int]
) -> None:
    d = grown(**options)
    assert (d.capacity, d.stats()["grows"]) == (5000, 1)
    stored = {}
    with pytest.raises(TableFullError, match="it grows to 5000 entries, .* a larger max_capacity"):
        for number in range(1_000_000):
            d[number] = -number
            stored[number] = -number
    assert len(stored) >= 5000
    assert d == stored
    for number in stored:
        d[number] = "other"
    del d[0]
    assert len(d) == len(stored) - 1
    assert d.check() == []


def test_a_value_space_bounds_a_table_that_grows(grown: NEW) -> None:
    d = grown(value_space=1 << 20, max_participants=1)
    with pytest.raises(ValueSpaceFullError):
        for number in range(1_000_000):
            d[number] = bytes(1000)
    before = d.copy()
    assert len(before) > 1000
    assert d == before


def test_a_capacity_alone_is_a_table_that_does_not_grow(grown: NEW) -> None:
    d = grown(capacity=5000)
    stats = d.stats()
    assert (stats["grows"], stats["capacity"]) == (0, 5000)
    with pytest.raises(TableFullError, match="it was created for 5000 entries, .* a larger capacity"):
        for number in range(1_000_000):
            d[number] = None
    after = d.stats()
    for figure in ("slots", "index_bytes", "max_index_bytes"):
        assert after[figure] == stats[figure], figure


def test_a_maximum_below_the_capacity_is_refused(name: str) -> None:
    message = "the option max_capacity is 99, allowed is the capacity of 100 or more"
    with pytest.raises(InvalidOptionError, match=message):
        SharedDict(name=name, capacity=100, max_capacity=99)
    with pytest.raises(InvalidOptionError, match=r"max_capacity is 1099511627776, allowed is less"):
        SharedDict(name=name, max_capacity=1 << 40)


def test_a_table_that_may_grow_to_a_capacity_has_it(name: str) -> None:
    with SharedDict(name=name, max_capacity=5000):
        for options in ({}, {"capacity": 5000}, {"max_capacity": 5000}):
            with SharedDict(name=name, **options) as d:  # type: ignore[arg-type]
                assert d.capacity == 5000
        with pytest.raises(TooSmallError, match="with a capacity of 5000, and 5001 was asked for"):
            SharedDict(name=name, capacity=5001)
        with pytest.raises(TooSmallError, match="with a max_capacity of 5000, and 5001 was"):
            SharedDict(name=name, max_capacity=5001)


@pytest.mark.parametrize(
    ("saved", "asked", "capacity", "grows"),
    [
        ({}, {}, 1 << 32, 1),
        ({}, {"capacity": 2000}, 2000, 0),
        ({"max_capacity": 5000}, {}, 5000, 1),
        ({"max_capacity": 5000}, {"max_capacity": 9000}, 9000, 1),
        ({"capacity": 1000}, {}, 1000, 0),
        ({"capacity": 1000}, {"max_capacity": 1 << 32}, 1 << 32, 1),
        ({"capacity": 1000}, {"capacity": 1000, "max_capacity": 50_000}, 50_000, 1),
    ],
)
def test_a_saved_table_comes_back_as_the_kind_that_it_was_or_that_is_asked_for(
    grown: NEW,
    tmp_path: Path,
    saved: dict[str, int],
    asked: dict[str, int],
    capacity: int,
    grows: int,
) -> None:
    there = {number: "x" * number for number in range(1000)}
    path = tmp_path / "saved.dump"
    assert grown(there, **saved).save(path) == 1000
    with SharedDict.load(path, **asked) as d:  # type: ignore[arg-type]
        assert d == there
        stats = d.stats()
        assert (stats["capacity"], stats["grows"]) == (capacity, grows)
        # As much as such a table has when it is made.
        with SharedDict(capacity=None if grows else capacity, max_capacity=capacity) as like:
            assert stats["value_space"] >= like.stats()["value_space"] or "max_capacity" not in asked


def test_a_maximum_that_is_less_than_a_saved_table_holds_is_refused(
    grown: NEW, tmp_path: Path
) -> None:
    path = tmp_path / "saved.dump"
    grown({number: None for number in range(100)}).save(path)
    message = "max_capacity is 99, and the dump holds 100 entries"
    with pytest.raises(InvalidOptionError, match=message):
        SharedDict.load(path, max_capacity=99)


def test_max_bytes_bounds_the_memory_and_keeps_what_is_there(name: str) -> None:
    with SharedDict(name=name, max_bytes=3 << 20) as d:
        stored = 0
        with pytest.raises(MaxBytesReachedError, match="may take 3145728 bytes of memory .max_bytes.: .* a larger max_bytes"):
            while True:
                d[stored] = "x" * 1000
                stored += 1
        assert stored > 1000
        assert d.stats()["memory_bytes"] <= 3 << 20
        assert dict(d) == {number: "x" * 1000 for number in range(stored)}
        # Room comes back.
        for number in range(stored // 2):
            del d[number]
        d["other"] = "y" * 1000
    with pytest.raises(TooSmallError, match="max_bytes"):
        SharedDict(name=name, max_bytes=4 << 20)
    with pytest.raises(InvalidOptionError, match="max_bytes is 1000, allowed is"):
        SharedDict(max_bytes=1000)
