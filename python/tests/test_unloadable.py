"""Does the error of a value or a key that cannot be loaded say which one it is?"""

from __future__ import annotations

import contextlib
import datetime
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from shmtable import CodecError, PickleRefusedError, SharedDict

ANYTHING = SharedDict[Any, Any]


class Unloadable:
    """Pickles, and raises when it is loaded."""

    def __reduce__(self) -> Any:
        return (fail, ())


def fail() -> None:
    raise LookupError("its class is not here")


@pytest.fixture
def d(name: str) -> Iterator[ANYTHING]:
    """A table in which one value of three cannot be loaded."""
    with SharedDict(name=name, capacity=100) as d:
        d.update({"good": 1, ("bad", 2): Unloadable(), "better": 3})
        yield d


BAD = ("bad", 2)
READS: dict[str, Callable[[ANYTHING], object]] = {
    "d[k]": lambda d: d[BAD],
    "get": lambda d: d.get(BAD, 0),
    "get_many": lambda d: d.get_many(["good", BAD, "better"]),
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "copy": lambda d: d.copy(),
    "dict": lambda d: dict(d),
    "snapshot": lambda d: d.snapshot(),
    "==": lambda d: d == {},
    "|": lambda d: d | {},
    "wait": lambda d: d.wait(BAD, 0),
    "wait_any": lambda d: d.wait_any([BAD, "good"], 0),
    "watch": lambda d: next(d.watch(BAD)),
    "setdefault": lambda d: d.setdefault(BAD, 0),
    "pop": lambda d: d.pop(BAD, 0),
    "update_value": lambda d: d.update_value(BAD, lambda old: old),
    "get_or_compute": lambda d: d.get_or_compute(BAD, lambda: 0),
    "compare_exchange": lambda d: d.compare_exchange(BAD, 0, 1),
    "add": lambda d: d.add(BAD),
    "edit": lambda d: d.edit(BAD).__enter__(),
}


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_error_of_loading_a_value_names_its_key(
    d: ANYTHING, read: Callable[[ANYTHING], object]
) -> None:
    with pytest.raises(LookupError, match="its class is not here") as caught:
        read(d)
    assert notes(caught.value) == ["while loading the value of the key ('bad', 2)"]
    assert len(d) == 3


def test_popitem_names_the_key_keeps_the_entry_and_goes_on_behind_it(d: ANYTHING) -> None:
    found, failures = {}, 0
    for _ in range(4):
        try:
            key, value = d.popitem()
            found[key] = value
        except LookupError as error:
            failures += 1
            assert notes(error) == ["while loading the value of the key ('bad', 2)"]
    assert found == {"good": 1, "better": 3}
    assert failures == 2
    assert list(d) == [BAD]


def test_iteration_goes_on_behind_a_value_that_cannot_be_loaded(d: ANYTHING) -> None:
    found, values = [], iter(d.values())
    while True:
        with contextlib.suppress(LookupError):
            value = next(values, None)
            if value is None:
                break
            found.append(value)
    assert sorted(found) == [1, 3]


class Stopping:
    """Pickles, and ends an iteration when it is loaded."""

    def __reduce__(self) -> Any:
        return (next, (iter(()),))


ITERATIONS: dict[str, Callable[[ANYTHING], object]] = {
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "scan": lambda d: list(d.scan("")),
    "watch": lambda d: list(d.watch("stops", 0)),
    "for": lambda d: [value for value in d.values()],  # noqa: C416
}


@pytest.mark.parametrize("iterate", ITERATIONS.values(), ids=ITERATIONS)
def test_a_value_that_raises_stop_iteration_does_not_end_an_iteration(
    name: str, iterate: Callable[[ANYTHING], object]
) -> None:
    with SharedDict(name=name, capacity=10) as d:
        d["stops"] = Stopping()
        with pytest.raises(RuntimeError, match="raised StopIteration") as caught:
            iterate(d)
        assert isinstance(caught.value.__cause__, StopIteration)


class Forgotten:
    """Pickles, and looks for a key that is not there when it is loaded."""

    def __reduce__(self) -> Any:
        return (dict.__getitem__, ({}, "gone"))


def test_an_entry_whose_value_raises_key_error_is_not_said_to_be_missing(name: str) -> None:
    with SharedDict(name=name, capacity=10) as d:
        d["key"] = Forgotten()
        with pytest.raises(KeyError, match="gone"):
            _ = ("key", 1) in d.items()
        assert ("other", 1) not in d.items()
        d["key"] = 1
        assert ("key", 1) in d.items()
        assert ("key", 2) not in d.items()
        assert ("key", 1, 1) not in d.items()


def test_a_class_of_a_program_that_is_not_there_is_named_with_its_key(d: ANYTHING) -> None:
    content = pickle.dumps(datetime.date(2024, 2, 29), 0).replace(b"\ndate\n", b"\ngone\n")
    with SharedDict.open(d.name, codec="raw") as raw:
        raw[b"\x07"] = msgpack.packb(msgpack.ExtType(80, content))
    with pytest.raises(AttributeError, match="gone") as caught:
        d[7]
    assert notes(caught.value) == ["while loading the value of the key 7"]


def test_a_refused_pickle_and_damaged_bytes_name_their_key(name: str, d: ANYTHING) -> None:
    with SharedDict.open(name, allow_pickle=False) as careful:
        with pytest.raises(PickleRefusedError) as refused:
            careful.copy()
        assert notes(refused.value) == ["while loading the value of the key ('bad', 2)"]
    with SharedDict.open(name, codec="raw") as raw:
        raw[b"\x07"] = b"\xc1"
    with pytest.raises(CodecError) as damaged:
        d[7]
    assert notes(damaged.value) == ["while loading the value of the key 7"]


KEYED: dict[str, Callable[[ANYTHING], object]] = {
    "keys": list,
    "items": lambda d: list(d.items()),
    "copy": lambda d: d.copy(),
    "snapshot": lambda d: d.snapshot(),
    "==": lambda d: d == {},
    "popitem": lambda d: d.popitem(),
}


@pytest.mark.parametrize("read", KEYED.values(), ids=KEYED)
def test_an_error_of_loading_a_key_names_its_bytes(
    name: str, read: Callable[[ANYTHING], object]
) -> None:
    with SharedDict(name=name, capacity=100) as d, SharedDict.open(name, codec="raw") as raw:
        raw[b"\xc1\xffab"] = b"\x01"
        with pytest.raises(CodecError) as caught:
            read(d)
        note = "while loading a key: codec=\"raw\" finds it as b'\\xc1\\xffab'"
        assert notes(caught.value) == [note]
        assert raw == {b"\xc1\xffab": b"\x01"}


def test_a_value_of_a_key_that_cannot_be_loaded_names_its_bytes(name: str) -> None:
    with SharedDict(name=name, capacity=100) as d, SharedDict.open(name, codec="raw") as raw:
        raw[b"\xc1" + bytes(100)] = b"\xc1"
        with pytest.raises(CodecError) as caught:
            list(d.values())
        (note,) = notes(caught.value)
        assert note.startswith("while loading the value of the key codec=\"raw\" finds it as b'\\xc1")
        assert note.endswith("\\x00'...")
