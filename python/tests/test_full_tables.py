"""Does a full table refuse exactly what does not fit, and work on?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shmtable import MISSING, SharedDict, TableFullError, ValueSpaceFullError, ValueTooLargeError

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


def test_a_full_table_takes_other_values_of_the_keys_it_has(new: NEW) -> None:
    d = new(capacity=4)
    with pytest.raises(TableFullError):
        for number in range(1000):
            d[number] = None
    before = d.copy()
    assert len(before) >= 4
    new_key = next(number for number in range(1000) if number not in before)
    stores: list[Callable[[], object]] = [
        lambda: d.__setitem__(new_key, 1),
        lambda: d.setdefault(new_key, 1),
        lambda: d.add(new_key),
        lambda: d.compare_exchange(new_key, MISSING, 1),
        lambda: d.update_value(new_key, lambda old: old, 1),
        lambda: d.update({new_key: 1}),
    ]
    for store in stores:
        with pytest.raises(TableFullError):
            store()
        assert d == before
    for key in before:
        d[key] = "other"
    d.pop(next(iter(before)))
    assert len(d) == len(before) - 1


def test_a_full_value_space_is_usable_again_after_a_removal(new: NEW) -> None:
    d = new(value_space=100_000, max_participants=2)
    with pytest.raises(ValueSpaceFullError):
        for number in range(100_000):
            d[number] = bytes(9_000)
    before = d.copy()
    with pytest.raises(ValueSpaceFullError):
        d["more"] = bytes(9_000)
    with pytest.raises(ValueSpaceFullError):
        d.update_value(0, lambda old: old * 5)
    assert d == before
    d.clear()
    d["more"] = bytes(9_000)


def test_a_value_that_never_fits_is_refused_by_every_operation(new: NEW) -> None:
    d = new({"a": 1})
    large = bytes(70_000_000)
    stores: list[Callable[[], object]] = [
        lambda: d.__setitem__("a", large),
        lambda: d.setdefault("b", large),
        lambda: d.set_many({"b": large}),
        lambda: d.set_many([("b", large)]),
        lambda: d.compare_exchange("a", 1, large),
        lambda: d.update_value("a", lambda _: large),
    ]
    for store in stores:
        with pytest.raises(ValueTooLargeError, match=r"70000005 bytes, the limit of this table"):
            store()
        assert d == {"a": 1}
