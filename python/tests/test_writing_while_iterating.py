"""Does iteration return entries that are there throughout once, while others come and go?"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import pytest

from shmtable import ClosedError, MissingKeyError, SharedDict

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


@pytest.mark.parametrize("view", ["keys", "values", "items"])
def test_iteration_sees_what_is_there_throughout_exactly_once(new: NEW, view: str) -> None:
    steady = {f"steady {i}" for i in range(300)}
    d = new({key: key for key in steady})
    seen: collections.Counter[str] = collections.Counter()
    for number, found in enumerate(getattr(d, view)()):
        seen[found[0] if view == "items" else found] += 1
        d[f"passing {number}"] = f"passing {number}"
        d.pop(f"passing {number - 5}", None)
        replaced = f"steady {number % 300}"
        d[replaced] = replaced
    assert {key: count for key, count in seen.items() if key in steady} == dict.fromkeys(steady, 1)


def test_iteration_may_remove_everything_it_sees(new: NEW) -> None:
    d = new({i: i for i in range(500)})
    seen = []
    for key in d:
        seen.append(key)
        del d[key]
    assert sorted(seen) == list(range(500))
    assert not d


def test_update_from_itself_changes_nothing(new: NEW) -> None:
    entries = {i: str(i) for i in range(500)}
    d = new(entries)
    d.update(d)
    d.update(d.items())
    d |= d
    assert d == entries


def test_iteration_ends_with_the_handle(new: NEW) -> None:
    d = new({1: 1, 2: 2})
    iterators = [iter(d), iter(d.values()), iter(d.items())]
    for iterator in iterators:
        next(iterator)
    d.close()
    for iterator in iterators:
        with pytest.raises(ClosedError):
            next(iterator)


def test_popitem_drains_everything_exactly_once_while_more_comes(new: NEW) -> None:
    d = new({i: -i for i in range(500)})
    popped: collections.Counter[int] = collections.Counter()
    more = iter(range(500, 800))
    while d:
        key, value = d.popitem()
        assert value == -key
        popped[key] += 1
        if (number := next(more, None)) is not None:
            d[number] = -number
    assert popped == {i: 1 for i in range(800)}
    with pytest.raises(MissingKeyError, match="the SharedDict is empty"):
        d.popitem()
