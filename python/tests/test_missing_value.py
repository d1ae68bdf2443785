"""Is MISSING, which stands for no value, refused where a value is to be stored?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shmtable import MISSING, SharedDict, ValueTypeError

ANYTHING = SharedDict[Any, Any]

STORE: dict[str, Callable[[ANYTHING], object]] = {
    "d[k]": lambda d: d.__setitem__("new", MISSING),
    "replace": lambda d: d.replace("new", MISSING),
    "setdefault": lambda d: d.setdefault("new", MISSING),
    "get_or_compute": lambda d: d.get_or_compute("new", lambda: MISSING),
    "set_many of a dict": lambda d: d.set_many({"new": MISSING}),
    "set_many of pairs": lambda d: d.set_many([("new", MISSING)]),
    "update": lambda d: d.update(new=MISSING),
    "|=": lambda d: d.__ior__({"new": MISSING}),
}


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json", "raw"])
@pytest.mark.parametrize("store", STORE.values(), ids=STORE)
def test_missing_is_not_stored(store: Callable[[ANYTHING], object], codec: Any) -> None:
    with SharedDict[Any, Any](capacity=10, codec=codec) as d:
        if codec == "raw":
            with pytest.raises(TypeError):
                store(d)
        else:
            with pytest.raises(ValueTypeError, match=r"MISSING cannot be stored: .* del d\[key\], or"):
                store(d)
        assert len(d) == 0


def test_missing_in_a_list_is_stored_and_comes_back_itself() -> None:
    with SharedDict[Any, Any]({"list": [MISSING]}, capacity=10) as d:
        assert d["list"][0] is MISSING


def test_missing_still_removes_and_inserts_where_it_stands_for_no_value() -> None:
    with SharedDict[Any, Any](capacity=10) as d:
        assert d.compare_exchange("a", MISSING, 1)
        assert d.compare_exchange("a", 1, MISSING)
        d["b"] = 1
        assert d.update_value("b", lambda old: MISSING) is MISSING
        assert len(d) == 0


def test_missing_is_false_and_shows_its_name() -> None:
    assert not MISSING
    assert repr(MISSING) == "MISSING"
