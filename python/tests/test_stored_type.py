"""Does the caller that stores a value get the value that all others read?"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import pytest

from shmtable import SharedDict

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Word(str):
    pass


class Number(enum.IntEnum):
    ONE = 1


class Forgetful:
    """Leaves something behind when it is pickled."""

    def __init__(self) -> None:
        self.kept = 1
        self.left = 2

    def __getstate__(self) -> dict[str, Any]:
        return {"kept": self.kept}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forgetful) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Bytes(bytes):
    pass


CHANGED: dict[str, list[Any]] = {
    "msgpack": [(1, 2), [(1,)], {"a": (1,)}, Word("a"), Number.ONE, [Word("a")], {Word("a"): 1}],
    "json": [(1, 2), [(1,)], {1: 2}, {None: (1,)}, {True: 1}, Word("a"), Number.ONE],
    "pickle": [Forgetful(), [Forgetful()]],
    "raw": [Bytes(b"a")],
}
KEPT: dict[str, list[Any]] = {
    "msgpack": [None, True, 1, 1.5, "a", b"a", [1, "a"], {"a": [None]}],
    "json": [None, True, 1, 1.5, "a", [1, "a"], {"a": [None]}],
    "pickle": [None, True, 1, 1.5, "a", b"a", [1], (1,), {"a": (1,)}, Word("a"), Number.ONE],
    "raw": [b"a", b""],
}
STORES: dict[str, Callable[[ANYTHING, Any, Any], Any]] = {
    "setdefault": lambda d, k, v: d.setdefault(k, v),
    "get_or_compute": lambda d, k, v: d.get_or_compute(k, lambda: v),
    "update_value": lambda d, k, v: d.update_value(
        k, lambda _: v, b"" if d.codec == "raw" else None
    ),
}


def typed(value: Any) -> Any:
    """A value with the types of all its parts."""
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    if isinstance(value, dict):
        return type(value), [(typed(key), typed(item)) for key, item in value.items()]
    return type(value), value


@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
@pytest.mark.parametrize("codec", CHANGED)
def test_who_stores_gets_the_types_that_all_others_read(
    new: NEW, codec: str, store: Callable[[ANYTHING, Any, Any], Any]
) -> None:
    for value in CHANGED[codec] + KEPT[codec]:
        d = new(codec=codec)
        given = store(d, b"key", value)
        assert typed(given) == typed(d[b"key"])
        assert typed(given) == typed(store(d, b"key", given))


@pytest.mark.parametrize("codec", KEPT)
def test_a_value_that_comes_back_as_it_is_is_as_it_was(new: NEW, codec: str) -> None:
    for value in KEPT[codec]:
        for store in STORES.values():
            d = new(codec=codec)
            assert typed(store(d, b"key", value)) == typed(value)


def test_a_plain_value_is_not_decoded_to_be_returned(new: NEW) -> None:
    d = new()
    value = [1, {"a": None}]
    assert d.setdefault("a", value) is value
    assert d.get_or_compute("b", lambda: value) is value
    assert d.update_value("c", lambda _: value, None) is value


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json"])
def test_a_sum_has_the_type_that_all_others_read(new: NEW, codec: str) -> None:
    d = new({"whole": 1 << 70, "real": 0.5}, codec=codec)
    for key, n in [("whole", 1), ("real", 1), ("new", True), ("new", 2), ("big", 1 << 80)]:
        assert typed(d.add(key, n)) == typed(d[key])
