"""Do iterators let go of their table: when they end, and when they are garbage?"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtable import ClosedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]

KINDS: dict[str, Callable[[ANYTHING], Iterator[Any]]] = {
    "keys": iter,
    "values": lambda d: iter(d.values()),
    "items": lambda d: iter(d.items()),
}


@pytest.fixture(params=KINDS)
def begin(request: pytest.FixtureRequest) -> Callable[[ANYTHING], Iterator[Any]]:
    return KINDS[request.param]


class Holding(SharedDict[Any, Any]):
    """A user's class, whose objects have attributes."""

    it: Iterator[Any]


def test_a_table_that_holds_its_own_iterator_is_collected(
    begin: Callable[[ANYTHING], Iterator[Any]],
) -> None:
    d = Holding({"a": 1, "b": 2}, capacity=10)
    d.it = begin(d)
    next(d.it)
    name = d.name
    del d
    gc.collect()
    assert not workers.exists(name)


def test_an_exhausted_iterator_lets_its_table_go(
    begin: Callable[[ANYTHING], Iterator[Any]],
) -> None:
    d = SharedDict({"a": 1}, capacity=10)
    iterator = begin(d)
    name = d.name
    assert len(list(iterator)) == 1
    del d
    assert not workers.exists(name)
    assert list(iterator) == []


def test_an_iterator_that_is_not_exhausted_keeps_its_table(
    begin: Callable[[ANYTHING], Iterator[Any]],
) -> None:
    iterator = begin(SharedDict({"a": 1}, capacity=10))
    gc.collect()
    assert len(list(iterator)) == 1


def test_an_exhausted_iterator_of_a_closed_table_stays_exhausted(
    begin: Callable[[ANYTHING], Iterator[Any]],
) -> None:
    with SharedDict({"a": 1}, capacity=10) as d:
        ended, begun = begin(d), begin(d)
        assert len(list(ended)) == 1
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(ended)
        with pytest.raises(ClosedError):
            next(begun)


def test_an_iterator_is_collected_while_another_thread_is_in_it() -> None:
    d = Holding(((number, number) for number in range(500)), capacity=1000)
    d.it = iter(d)
    seen: list[int] = []
    workers.together(*[lambda: seen.extend(d.it), gc.collect] * 3)
    assert sorted(seen) == list(range(500))
    name = d.name
    del d
    gc.collect()
    assert not workers.exists(name)
