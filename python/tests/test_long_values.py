"""Do long values come back whole: of every length, of every codec, and while they are replaced?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from shmtable import PickleRefusedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]
ROOM = {"capacity": 10, "value_space": 32 << 20}

# About the lengths at which values are read in other ways, and lengths have more bytes.
LENGTHS = [126, 127, 128, 129, 254, 255, 256, 257, *range(4080, 4105), 8192, 65_530, 65_536, 65_537]
LENGTHS += [200_000, 1 << 20]


def content(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


MADE: dict[str, tuple[str, Callable[[bytes], Any]]] = {
    "bytes": ("pickle", lambda content: content),
    "bytes, msgpack": ("msgpack", lambda content: content),
    "bytes, raw": ("raw", lambda content: content),
    "text": ("pickle", lambda content: content.decode("latin-1")[: len(content) // 2]),
    "ASCII": ("pickle", lambda content: "x" * len(content)),
    "ASCII, json": ("json", lambda content: "x" * len(content)),
    "text, json": ("json", lambda content: content.decode("latin-1")),
    "list": ("pickle", lambda content: [content, len(content)]),
    "numbers": ("msgpack", lambda content: list(content)),
    "dict": ("pickle", lambda content: {"a": content, 1: content.decode("latin-1")}),
    "pickle": ("pickle", lambda content: (content, 1)),
    "bytearray": ("pickle", bytearray),
    "pickled text": ("pickle", lambda content: {content.decode("latin-1")}),
}


@pytest.mark.parametrize(("codec", "make"), MADE.values(), ids=MADE)
def test_values_of_every_length_come_back(new: NEW, codec: str, make: Callable[[bytes], Any]) -> None:
    d = new(codec=codec, **ROOM)
    key: Any = b"key" if codec == "raw" else "key"
    for length in LENGTHS:
        value = make(content(length))
        d[key] = value
        found = d[key]
        assert type(found) is type(value)
        assert found == value
        assert d.get_many([key]) == [value]
        # As every other way of storing stores it.
        assert d.compare_exchange(key, value, value)
        assert d.replace(key, value) == value
        assert d[key] == value


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json", "raw"])
def test_every_way_of_storing_stores_the_same_bytes(name: str, codec: Any) -> None:
    with SharedDict.create(name, codec=codec, **ROOM) as d, SharedDict.open(name, codec="raw") as raw:
        for length in LENGTHS:
            value: Any = content(length) if codec != "json" else "x" * length
            keys: list[Any] = [b"a", b"b", b"c"] if codec == "raw" else ["a", "b", "c"]
            d[keys[0]] = value
            d.pop(keys[1], None)
            assert d.setdefault(keys[1], value) == value
            d.set_many({keys[2]: value})
            stored = set(raw.copy().values())
            assert len(stored) == 1
            d.update([(keys[2], value)])
            assert set(raw.copy().values()) == stored


def test_a_long_pickle_that_is_not_trusted_is_refused(name: str) -> None:
    with SharedDict.create(name, **ROOM) as d:
        d["k"] = ("x" * 5000,)
        with SharedDict.open(name, allow_pickle=False) as careful:
            with pytest.raises(PickleRefusedError) as raised:
                careful["k"]
            assert "the value of the key 'k'" in str(raised.value.__notes__)
            d["k"] = "x" * 5000
            assert careful["k"] == "x" * 5000


def test_a_pickle_may_read_the_table_while_it_is_loaded(new: NEW) -> None:
    d = new(**ROOM)
    for length in (10, 3000, 5000):
        d["inner"] = "y" * length
        d["outer"] = Reading(d, "x" * length)
        found = d["outer"]
        assert (found.inner, found.text) == ("y" * length, "x" * length)


class Reading:
    """Reads a key of its table when it is loaded."""

    def __init__(self, d: ANYTHING, text: str) -> None:
        self.d = d
        self.text = text
        self.inner = ""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.inner = self.d["inner"]


def test_a_value_that_is_replaced_while_it_is_read_is_one_or_the_other(new: NEW) -> None:
    d = new(**ROOM)
    values: list[Any] = [b"a" * 5000, b"b" * 5000, b"c" * 100_000, "d" * 100_000, (b"e" * 70_000, 1)]
    values += [numpy.full(20_000, 7.0), numpy.full((5, 4000), 8.0), [1, 2], b"f" * 4096, None]
    shown = {show(value) for value in values}
    d["k"] = values[0]
    with workers.rewriting(d, "k", values, show) as reads:
        for found in reads:
            assert show(found) in shown


def show(value: Any) -> tuple[str, str]:
    content = value.tobytes() if isinstance(value, numpy.ndarray) else repr(value).encode()
    return type(value).__name__, f"{hash(content)} {getattr(value, 'shape', '')}"
