"""Does `update_value` pass its default as it would be read from the table?"""

from __future__ import annotations

from typing import Any

import pytest

from shmtable import SharedDict, ValueTypeError


@pytest.mark.parametrize(("codec", "seen"), [("pickle", tuple), ("msgpack", list), ("json", list)])
def test_the_function_sees_one_type_the_first_time_and_later(codec: Any, seen: type) -> None:
    types: list[type] = []

    def look(value: Any) -> Any:
        types.append(type(value))
        return value

    with SharedDict[Any, Any](capacity=10, codec=codec) as d:
        for _ in range(2):
            d.update_value("a", look, (1, 2))
    assert types == [seen, seen]


def test_a_function_that_changes_the_default_changes_a_copy() -> None:
    default: list[int] = []

    def append(value: list[int]) -> list[int]:
        if not value:
            # Somebody else stores meanwhile, and the function is called again.
            d.compare_exchange("a", d.get("a", None), None) or d.setdefault("a", [7])
        value.append(1)
        return value

    with SharedDict[str, Any](capacity=10) as d:
        assert d.update_value("a", append, default) == [7, 1]
    assert default == []


def test_a_default_that_cannot_be_stored_is_an_error_where_it_is_needed() -> None:
    with SharedDict[str, Any]({"there": 1}, capacity=10, codec="msgpack") as d:
        assert d.update_value("there", lambda old: old + 1, {1}) == 2
        with pytest.raises(ValueTypeError):
            d.update_value("new", lambda old: 1, {1})
