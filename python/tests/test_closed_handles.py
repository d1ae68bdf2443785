"""What does a handle refuse once it is closed, or read-only, and what does it still tell?"""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import MISSING, ClosedError, ReadOnlyError, SharedDict
from shmtable._settings import Settings

sys.path.insert(0, str(Path(__file__).parent))
from workers import THERE

ANYTHING = SharedDict[Any, Any]


# Closed handles.

CALLS: dict[str, Callable[[ANYTHING], object]] = {
    "__getitem__": lambda d: d["a"],
    "__setitem__": lambda d: d.__setitem__("a", 1),
    "__delitem__": lambda d: d.__delitem__("a"),
    "__contains__": lambda d: "a" in d,
    "__iter__": lambda d: iter(d),
    "__len__": len,
    "__bool__": bool,
    "__eq__": lambda d: d == {},
    "__ne__": lambda d: d != {},
    "__or__": lambda d: d | {},
    "__ror__": lambda d: {} | d,
    "__ior__": lambda d: d.__ior__({"a": 1}),
    "__reduce__": pickle.dumps,
    "__setstate__": lambda d: d.__setstate__(("open", "other", tuple(Settings()))),
    "__copy__": lambda d: d.__copy__(),
    "__deepcopy__": lambda d: d.__deepcopy__({}),
    "_iter_values": lambda d: iter(d.values()),
    "_iter_items": lambda d: iter(d.items()),
    "get": lambda d: d.get("a"),
    "pop": lambda d: d.pop("a", None),
    "popitem": lambda d: d.popitem(),
    "setdefault": lambda d: d.setdefault("a", 1),
    "clear": lambda d: d.clear(),
    "shrink_to_fit": lambda d: d.shrink_to_fit(),
    "copy": lambda d: d.copy(),
    "snapshot": lambda d: d.snapshot(),
    "save": lambda d: d.save("/dev/null"),
    "stats": lambda d: d.stats(),
    "get_many": lambda d: d.get_many(["a"]),
    "set_many": lambda d: d.set_many({"a": 1}),
    "update": lambda d: d.update(a=1),
    "pop_many": lambda d: d.pop_many(["a"]),
    "remove_many": lambda d: d.remove_many(["a"]),
    "remove_prefix": lambda d: d.remove_prefix("a"),
    "retain": lambda d: d.retain(lambda key, value: False),
    "scan": lambda d: d.scan("a"),
    "replace": lambda d: d.replace("a", 1),
    "check": lambda d: d.check(),
    "repair": lambda d: d.repair(),
    "wait_change": lambda d: d.wait_change("a", 1, 0),
    "wait": lambda d: d.wait("a", 0),
    "wait_any": lambda d: d.wait_any(["a"], 0),
    "watch": lambda d: d.watch("a"),
    "add": lambda d: d.add("a"),
    "max": lambda d: d.max("a", 1),
    "min": lambda d: d.min("a", 1),
    "compare_exchange": lambda d: d.compare_exchange("a", 1, 2),
    "update_value": lambda d: d.update_value("a", str),
    "get_or_compute": lambda d: d.get_or_compute("a", int),
    "edit": lambda d: d.edit("a"),
    "claim": lambda d: d.claim("a"),
    "lock": lambda d: d.lock("a"),
    "unlink": lambda d: d.unlink(),
    "keys": lambda d: list(d.keys()),
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "capacity": lambda d: d.capacity,
    "unlinked": lambda d: d.unlinked,
    "allow_pickle": lambda d: d.allow_pickle,
}


@pytest.mark.parametrize("method", CALLS)
def test_each_method_of_a_closed_handle_raises_closed_error(method: str) -> None:
    d = SharedDict({"a": 1}, capacity=10)
    d.close()
    with pytest.raises(ClosedError, match="closed") as raised:
        CALLS[method](d)
    assert isinstance(raised.value, ValueError)


def test_a_closed_handle_still_tells_what_the_table_was(name: str) -> None:
    def told(d: ANYTHING) -> list[object]:
        return [d.name, d.codec, d.read_only, d.anonymous]

    SharedDict(name=name, capacity=10, codec="json").close()
    with SharedDict.open(name, read_only=True) as named, SharedDict(capacity=10) as anonymous:
        before = [told(named), told(anonymous)]
    assert [told(named), told(anonymous)] == before
    assert before[0] == [name, "json", True, False]
    with SharedDict.open(named.name) as again:
        assert again == {}
    for handle in (named, anonymous):
        with pytest.raises(ClosedError):
            pickle.dumps(handle)


def test_a_handle_that_was_closed_before_its_first_use_tells_its_name(name: str) -> None:
    with SharedDict(name=name, capacity=10) as d:
        unused = pickle.loads(pickle.dumps(d))
    unused.close()
    assert (unused.name, unused.read_only) == (name, False)
    with pytest.raises(ClosedError):
        _ = unused.codec


def test_no_method_was_forgotten() -> None:
    """Each public member is in the list above, or known to work on a closed handle."""
    still_work = {"close", "closed", "open", "create", "load", "fromkeys"}
    still_work |= {"name", "codec", "read_only", "anonymous"}
    public = {name for name in dir(SharedDict) if not name.startswith("_")}
    assert public - still_work <= set(CALLS)
    own = {name for name, _ in inspect.getmembers(SharedDict) if name in vars(SharedDict)}
    dunders = {name for name in own if name.startswith("__")} - set(dir(object))
    still_work |= {"__enter__", "__exit__", "__weakref__", "__slots__", "__parameters__"}
    still_work |= {"__orig_bases__", "__abstractmethods__", "__module__", "__annotations__"}
    still_work |= {"__static_attributes__", "__firstlineno__", "__class_getitem__"}
    assert {name for name in dunders - still_work if callable(getattr(SharedDict, name))} <= set(
        CALLS
    )


def test_an_iterator_of_a_closed_handle_raises_closed_error() -> None:
    for begin in (iter, lambda d: iter(d.values()), lambda d: iter(d.items())):
        d: ANYTHING = SharedDict({"a": 1, "b": 2}, capacity=10)
        iterator = begin(d)
        next(iterator)
        d.close()
        with pytest.raises(ClosedError):
            next(iterator)


# Closed, and read-only, handles of a table that others use.

EVERYTHING: dict[str, Callable[[ANYTHING], object]] = {
    "__getitem__": lambda d: d["a"],
    "__setitem__": lambda d: d.__setitem__("a", 2),
    "__delitem__": lambda d: d.__delitem__("a"),
    "__contains__": lambda d: "a" in d,
    "__iter__": lambda d: list(d),
    "__len__": lambda d: len(d),
    "__bool__": lambda d: bool(d),
    "__eq__": lambda d: d == {},
    "__or__": lambda d: d | {},
    "__ror__": lambda d: {} | d,
    "__ior__": lambda d: d.__ior__({"a": 2}),
    "__copy__": lambda d: d.__copy__(),
    "__deepcopy__": lambda d: d.__deepcopy__({}),
    "__reduce__": lambda d: d.__reduce__(),
    "add": lambda d: d.add("a"),
    "allow_pickle": lambda d: d.allow_pickle,
    "anonymous": lambda d: d.anonymous,
    "unlinked": lambda d: d.unlinked,
    "capacity": lambda d: d.capacity,
    "check": lambda d: d.check(),
    "clear": lambda d: d.clear(),
    "shrink_to_fit": lambda d: d.shrink_to_fit(),
    "codec": lambda d: d.codec,
    "compare_exchange": lambda d: d.compare_exchange("a", 1, 2),
    "copy": lambda d: d.copy(),
    "edit": lambda d: d.edit("b"),
    "get": lambda d: d.get("a"),
    "get_many": lambda d: d.get_many(["a"]),
    "get_or_compute": lambda d: d.get_or_compute("new", lambda: 1),
    "claim": lambda d: d.claim("a"),
    "lock": lambda d: d.lock("a").acquire(0),
    "items": lambda d: list(d.items()),
    "keys": lambda d: list(d.keys()),
    "max": lambda d: d.max("a", 2),
    "min": lambda d: d.min("a", 0),
    "name": lambda d: d.name,
    "pop": lambda d: d.pop("a"),
    "pop_many": lambda d: d.pop_many(["a"]),
    "popitem": lambda d: d.popitem(),
    "read_only": lambda d: d.read_only,
    "remove_many": lambda d: d.remove_many(["a"]),
    "remove_prefix": lambda d: d.remove_prefix("a"),
    "repair": lambda d: d.repair(),
    "replace": lambda d: d.replace("a", 2),
    "retain": lambda d: d.retain(lambda key, value: False),
    "save": lambda d: d.save("/dev/null"),
    "scan": lambda d: list(d.scan("a")),
    "set_many": lambda d: d.set_many({"a": 2}),
    "setdefault": lambda d: d.setdefault("new", 1),
    "snapshot": lambda d: d.snapshot(),
    "stats": lambda d: d.stats(),
    "unlink": lambda d: d.unlink(),
    "update": lambda d: d.update(a=2),
    "update_value": lambda d: d.update_value("a", lambda _: 2),
    "values": lambda d: list(d.values()),
    "wait": lambda d: d.wait("a", 0),
    "wait_any": lambda d: d.wait_any(["missing", "a"], 0),
    "wait_change": lambda d: d.wait_change("a", MISSING, 0),
    "watch": lambda d: next(d.watch("a")),
}
NEED_NO_TABLE = {"close", "closed", "create", "fromkeys", "load", "open"}
NEED_NO_TABLE |= {"__repr__", "__enter__", "__exit__"}
WRITING = {"__setitem__", "__delitem__", "__ior__", "add", "clear", "compare_exchange", "pop"}
WRITING |= {"edit", "max", "min", "claim", "lock", "shrink_to_fit"}
WRITING |= {"get_or_compute", "popitem", "set_many", "setdefault", "update", "update_value"}
WRITING |= {"pop_many", "remove_many", "remove_prefix", "replace", "retain", "unlink"}
# They take locks, and who may not write cannot.
WRITING |= {"snapshot", "save", "check", "repair"}


# What a closed handle still tells.
KNOWN = {"anonymous", "codec", "name", "read_only"}


def test_every_method_is_in_the_table_of_this_file() -> None:
    public = {name for name in dir(SharedDict) if not name.startswith("_")}
    assert public == {name for name in EVERYTHING | dict.fromkeys(NEED_NO_TABLE) if name[0] != "_"}


@pytest.mark.parametrize("method", EVERYTHING)
def test_every_method_of_a_closed_handle_is_refused(
    there: ANYTHING, name: str, method: str
) -> None:
    again = SharedDict.open(name)
    again.close()
    again.close()
    assert again.closed
    if method in KNOWN:
        assert EVERYTHING[method](again) == EVERYTHING[method](there)
    else:
        with pytest.raises(ClosedError):
            EVERYTHING[method](again)
    with pytest.raises(ClosedError):
        EVERYTHING[method](SharedDict.__new__(SharedDict))
    assert there == THERE
    assert not there.closed


@pytest.mark.parametrize("method", EVERYTHING)
def test_a_read_only_handle_reads_and_does_not_write(
    there: ANYTHING, name: str, method: str
) -> None:
    with SharedDict.open(name, read_only=True) as reader:
        if method in WRITING:
            with pytest.raises(ReadOnlyError):
                EVERYTHING[method](reader)
        else:
            assert EVERYTHING[method](reader) is not NotImplemented
        assert reader.read_only
        assert reader == THERE
    assert there == THERE


def test_writing_calls_that_write_nothing_work_read_only(there: ANYTHING, name: str) -> None:
    with SharedDict.open(name, read_only=True) as reader:
        assert reader.setdefault("a", 2) == 1
        assert reader.retain(lambda key, value: True) == 0
        assert reader.remove_prefix("not there") == 0
        assert reader.get_or_compute("a", lambda: 2) == 1
        assert reader.compare_exchange("a", 5, 6) is False
