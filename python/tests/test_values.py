"""Do values come back as they were, as copies, and in the bytes that are documented?"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import pickle
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmtable import SharedDict, ValueTypeError

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]
BIG = {"capacity": 10, "value_space": 64 << 20}


class Word(str):
    pass


class Whole(int):
    pass


class Real(float):
    pass


class Listed(list[Any]):
    pass


class Kind(enum.Enum):
    ONE = 1


class Number(enum.IntEnum):
    ONE = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Record:
    name: str
    values: list[int]


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, type by type, and nan is nan."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, numpy.ndarray):
        return a.dtype == b.dtype and bool(numpy.array_equal(a, b))
    return bool(a == b)


INTEGERS = [sign * (n + off) for n in (0, 32, 128, 256, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 63,
            1 << 64, 1 << 70, 10**1000) for off in (-1, 0, 1) for sign in (1, -1)]  # fmt: skip
PLAIN: list[Any] = [None, True, False, *INTEGERS]
PLAIN += [0.0, -0.0, 1.0, 0.1, 1e300, float("inf"), float("-inf"), float("nan"), 5e-324]
PLAIN += ["", "a", "é", "😀", "\0", "\ud800", "a\udfff", "x" * 31, "x" * 32, "x" * 256, "x" * 65536]
PLAIN += [b"", b"a", b"\0\xff", b"x" * 256, b"x" * 65536]
PLAIN += [[], {}, [[]], [None, True, 1, 1.0, "1", b"1"], {"a": {"b": [{}]}}, list(range(20))]
PLAIN += [[[]] * 1, list(range(70_000)), {str(i): i for i in range(20)}]
PLAIN += [{1: "int", "1": "str", b"1": "bytes", None: None, 1.5: [], 1 << 70: -0.0}]
PLAIN += [{i: i for i in range(70_000)}, {"z": 1, "a": 2, "m": 3}]

PICKLED: list[Any] = [(), (1,), (1, (2, [3])), [(1, 2)], {"a": (1,)}, {(1, 2): 3}, {True: (1,)}]
PICKLED += [set(), {1, 2}, frozenset({1}), bytearray(b"a"), 1 + 2j, range(3), slice(1, 2), ...]
PICKLED += [Word("a"), Whole(1), Real(1.5), Listed([1]), [Word("a")], {Word("a"): 1}, Point(1, 2)]
PICKLED += [collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1])]
PICKLED += [collections.defaultdict(list, {"a": [1]}), Kind.ONE, Number.ONE, Record("a", [1, 2])]
PICKLED += [datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc), datetime.timedelta(1)]
PICKLED += [decimal.Decimal("0.10"), fractions.Fraction(1, 3), uuid.UUID(int=7), int, len, Record]
PICKLED += [numpy.float64(0.1), numpy.int64(7), {"array": numpy.array(["a", "bc"])}]

# Stored as an extension of their own: see test_arrays.py.
ARRAYS: list[Any] = [numpy.arange(12).reshape(3, 4), numpy.zeros(100_000)]


def named(value: Any) -> str:
    return f"{type(value).__name__}-{value!r:.24}" if not is_huge(value) else type(value).__name__


def is_huge(value: Any) -> bool:
    return isinstance(value, int) and abs(value) > 1 << 80


@pytest.fixture
def raw(name: str) -> Callable[[Any], bytes]:
    """The bytes that a value is stored as."""

    def stored(value: Any) -> bytes:
        with SharedDict(name=name, **BIG) as d, SharedDict.open(name, codec="raw") as raw:
            d["key"] = value
            return bytes(raw[b"\xa3key"])

    return stored


@pytest.mark.parametrize("value", PLAIN, ids=named)
def test_plain_values_come_back_as_they_were(new: NEW, value: Any) -> None:
    d = new(**BIG)
    d["key"] = value
    assert same(d["key"], value)


@pytest.mark.parametrize("value", [*PICKLED, *ARRAYS], ids=named)
def test_everything_that_pickles_comes_back_as_it_was(new: NEW, value: Any) -> None:
    d = new(**BIG)
    d["key"] = value
    assert same(d["key"], value)


def test_every_operation_that_reads_gives_the_value_as_it_was(new: NEW) -> None:
    for value in [*PLAIN[::7], *PICKLED, *ARRAYS]:
        d = new({"key": value}, **BIG)
        found = [d.get("key"), d.setdefault("key", 1), d.get_many(["key"])[0], d.wait("key", 0)]
        found += [d.copy()["key"], d.snapshot()["key"], *d.values(), dict(d.items())["key"]]
        found += [d.get_or_compute("key", list), d.update_value("key", lambda old: old)]
        found += [d["key"], d.popitem()[1]]
        d["key"] = value
        assert all(same(each, value) for each in [*found, d.pop("key")])


def test_every_operation_that_writes_stores_the_value_as_it_is(new: NEW) -> None:
    for value in [*PLAIN[::7], *PICKLED, *ARRAYS]:
        d = new(**BIG)
        d["a"] = value
        d.set_many({"b": value})
        d.set_many([("c", value)])
        d.update(d=value)
        d.setdefault("e", value)
        d.get_or_compute("f", lambda value=value: value)  # type: ignore[misc]
        d.update_value("g", lambda _, value=value: value, None)  # type: ignore[misc]
        assert d.compare_exchange("h", None, value) is False
        d["h"] = None
        assert d.compare_exchange("h", None, value) is True
        assert all(same(d[key], value) for key in "abcdefgh")


def test_dicts_keep_their_order(d: ANYTHING) -> None:
    d["key"] = {"z": 1, "a": 2, 5: 3, "m": {"y": 1, "b": 2}}
    assert list(d["key"]) == ["z", "a", 5, "m"]
    assert list(d["key"]["m"]) == ["y", "b"]


def test_values_are_copies(d: ANYTHING) -> None:
    value = {"list": [1]}
    d["key"] = value
    value["list"].append(2)
    assert d["key"] == {"list": [1]}
    found = d["key"]
    found["list"].append(3)
    assert d["key"] == {"list": [1]}
    assert d["key"] is not d["key"]
    assert d.setdefault("key", None) is not value


def test_one_list_in_two_places_comes_back_as_one_list(d: ANYTHING) -> None:
    shared = [1]
    d["key"] = [shared, {"again": shared}]
    one, other = d["key"]
    assert one == [1]
    assert one is other["again"]


def test_two_equal_lists_come_back_as_two(d: ANYTHING) -> None:
    d["key"] = [[1], [1]]
    one, other = d["key"]
    assert one is not other


def test_cycles_come_back_as_cycles(d: ANYTHING) -> None:
    lists: list[Any] = [1]
    lists.append(lists)
    dicts: dict[str, Any] = {}
    dicts["self"] = [dicts]
    d["list"], d["dict"] = lists, dicts
    found = d["list"]
    assert found[1] is found
    found = d["dict"]
    assert found["self"][0] is found


@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"a": inner}])
@pytest.mark.parametrize("depth", [1, 16, 127, 128, 129, 150])
def test_deep_values_come_back(new: NEW, depth: int, make: Callable[[Any], Any]) -> None:
    value: Any = 1
    for _ in range(depth):
        value = make(value)
    d = new()
    d["key"] = value
    assert same(d["key"], value)


def test_a_value_nested_500_deep_comes_back(d: ANYTHING) -> None:
    value: Any = []
    for _ in range(300):
        value = [value]
    value = [[value] * 1]
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    d["lists"], d["dicts"] = value, deep
    assert d["lists"] == value
    assert d["dicts"] == deep


def test_a_value_too_deep_for_pickle_is_refused_and_changes_nothing(d: ANYTHING) -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    d["key"] = 1
    with pytest.raises(ValueTypeError, match="nested too deep: .*; store it in a flatter") as raised:
        d["key"] = value
    assert isinstance(raised.value.__cause__, RecursionError)
    with pytest.raises(RecursionError):
        pickle.dumps(value)
    assert d == {"key": 1}


@pytest.mark.parametrize("size", [127, 128, 129, 65535, 65536, 1 << 20, 10_000_000])
def test_bytes_of_any_size_come_back(new: NEW, size: int) -> None:
    value = bytes(range(251)) * (size // 251 + 1)
    value = value[:size]
    d = new(**BIG)
    d["key"] = value
    assert d["key"] == value
    assert d.get_many(["key"]) == list(d.values()) == [value]
    assert d.pop("key") == value


def test_what_does_not_pickle_is_refused_with_its_cause_and_changes_nothing(d: ANYTHING) -> None:
    d["key"] = 1

    class Local:
        pass

    unpicklable: list[Any] = [lambda: 1, Local(), Local, (lambda: 1,), (i for i in "a")]
    for value in [*unpicklable, memoryview(b"a"), [memoryview(b"a")]]:
        stores: list[Callable[[Any], object]] = [
            lambda value: d.__setitem__("key", value),
            lambda value: d.update(key=value),
            lambda value: d.set_many([("key", value)]),
            lambda value: d.setdefault("new", value),
            lambda value: d.compare_exchange("key", 1, value),
            lambda value: d.update_value("key", lambda _: value),
            lambda value: d.get_or_compute("new", lambda: value),
        ]
        for store in stores:
            with pytest.raises(ValueTypeError, match="cannot store a value of type") as caught:
                store(value)
            assert caught.value.__cause__ is not None
            assert d == {"key": 1}


def test_what_pickling_raises_of_its_own_is_passed_on(d: ANYTHING) -> None:
    class Failing:
        def __reduce__(self) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        d["key"] = Failing()
    assert d == {}


# What is stored.


def without_extensions(value: Any) -> bool:
    """Whether plain MessagePack says a value."""
    if isinstance(value, list):
        return all(map(without_extensions, value))
    if isinstance(value, dict):
        return all(map(without_extensions, [*value, *value.values()]))
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    return not isinstance(value, int) or -(1 << 63) <= value < 1 << 64


def test_plain_values_are_stored_as_messagepack_writes_them(raw: Callable[[Any], bytes]) -> None:
    for value in filter(without_extensions, PLAIN):
        stored = raw(value)
        assert stored == msgpack.packb(value)
        read = msgpack.unpackb(stored, strict_map_key=False)
        assert same(read, value)


def test_large_integers_and_surrogates_are_stored_as_extensions(
    raw: Callable[[Any], bytes],
) -> None:
    def extension(value: Any) -> msgpack.ExtType:
        read = msgpack.unpackb(raw([value]))[0]
        assert isinstance(read, msgpack.ExtType)
        return read

    for value in INTEGERS:
        if not without_extensions(value):
            code, data = extension(value)
            assert code == 73
            assert int.from_bytes(data, "big", signed=True) == value
            assert len(data) == value.bit_length() // 8 + 1
    for text in ("\ud800", "a\udfffé"):
        assert extension(text) == (83, text.encode("utf-8", "surrogatepass"))


def test_all_else_is_stored_as_a_pickle_in_an_extension(raw: Callable[[Any], bytes]) -> None:
    for value in PICKLED:
        read = msgpack.unpackb(raw(value))
        assert isinstance(read, msgpack.ExtType)
        assert read.code == 80
        assert same(pickle.loads(read.data), value)


def test_what_msgpack_wrote_is_read(name: str) -> None:
    values = [value for value in PLAIN if without_extensions(value)]
    options = BIG | {"capacity": 200}
    with SharedDict(name=name, **options) as d, SharedDict.open(name, codec="raw") as raw:
        for number, value in enumerate(values):
            raw[msgpack.packb(number)] = msgpack.packb(value)
            assert same(d[number], value)
        raw[b"\0"] = msgpack.packb(0.1, use_single_float=True)
        assert d[0] == numpy.float32(0.1)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(plain)
def test_any_plain_value_comes_back(value: Any) -> None:
    with SharedDict(capacity=1, value_space=1 << 20) as d:
        d["key"] = value
        assert same(d["key"], value)


@given(st.recursive(plain, lambda inner: st.lists(inner).map(tuple) | st.tuples(inner, st.sets(st.integers()))))
def test_any_mixture_comes_back(value: Any) -> None:
    with SharedDict(capacity=1, value_space=1 << 20) as d:
        d["key"] = value
        assert same(d["key"], value)
