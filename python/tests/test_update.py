"""Does `update` take everything that dict takes, and fail as dict does?"""

from __future__ import annotations

import collections
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
from mappings import Refusal, Small, outcome, refuse

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Pairs:
    """Has `keys` and items, and is no Mapping."""

    def __init__(self, entries: dict[Any, Any]) -> None:
        self.entries = entries

    def keys(self) -> Any:
        return self.entries.keys()

    def __getitem__(self, key: Any) -> Any:
        return self.entries[key]


@pytest.mark.parametrize(
    "make",
    [
        lambda entries: entries,
        collections.OrderedDict,
        collections.UserDict,
        types.MappingProxyType,
        Pairs,
        lambda entries: entries.items(),
        lambda entries: list(entries.items()),
        lambda entries: iter(entries.items()),
        lambda entries: (list(pair) for pair in entries.items()),
        lambda entries: (iter(pair) for pair in entries.items()),
        lambda entries: Small(entries),
    ],
)
def test_entries_come_from_everything_that_dict_takes(new: NEW, make: Any) -> None:
    entries = {"a": 1, 2: [3], (): None, 1 << 70: 1 << 70}
    updated = new({"a": 0})
    updated.update(make(entries))
    assert updated == entries
    many = new()
    many.set_many(make(entries))
    assert many == new(make(entries)) == entries


def test_update_takes_keywords_whatever_they_are_called(new: NEW) -> None:
    d = new({"a": 1})
    d.update()
    d.update({"b": 2}, b=3, self=4, entries=5, more=6)
    assert d == {"a": 1, "b": 3, "self": 4, "entries": 5, "more": 6}


def test_of_equal_keys_the_last_pair_counts(new: NEW) -> None:
    pairs = [(1, "a"), (True, "b"), (1.0, "c")]
    d = new(pairs)
    assert d == dict(pairs) == {1: "c"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: None,
        lambda: 5,
        lambda: [1],
        lambda: [(1, 2), 3],
        lambda: [None],
        lambda: ["abc"],
        lambda: ["a"],
        lambda: [()],
        lambda: [(1, 2), (1, 2, 3)],
        lambda: ["ab", "cd", "e"],
        lambda: map(refuse, [1]),
        lambda: [map(refuse, [1])],
        lambda: [(1, 2), [[], 3]],
    ],
)
def test_update_fails_as_dicts_does(d: ANYTHING, wrong: Callable[[], Any]) -> None:
    expected: dict[Any, Any] = {}
    wanted = outcome(lambda: expected.update(wrong()))
    assert wanted[0] is not None
    assert outcome(lambda: d.update(wrong())) == wanted
    assert d == expected


@pytest.mark.parametrize("where", ["keys", "__getitem__"])
def test_update_passes_on_what_a_mapping_raises(d: ANYTHING, where: str) -> None:
    failing = type("Failing", (Pairs,), {where: refuse})
    with pytest.raises(Refusal):
        d.update(failing({"a": 1}))
    assert d == {}


def test_update_notices_that_a_dict_changes_its_size(d: ANYTHING) -> None:
    class Growing:
        def __reduce__(self) -> Any:
            source[len(source)] = None
            return (int, ())

    source: dict[int, Any] = {0: Growing(), 1: Growing(), 2: None}
    with pytest.raises(RuntimeError, match="dictionary changed size during iteration"):
        d.update(source)
