"""Are keys found as dict finds them, and is everything else refused?"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import itertools
from collections.abc import Callable
from pathlib import PureWindowsPath
from typing import Any, NamedTuple

import msgpack
import numpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shmtable import KeyTooLargeError, KeyTypeError, MissingKeyError, SharedDict, WaitTimeoutError

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]

# What comes back.
PLAIN = (str, bytes, int, float, type(None), tuple)


class Number(enum.IntEnum):
    ONE = 1
    BIG = 1 << 64


class Flag(enum.IntFlag):
    TWO = 2


class Text(str, enum.Enum):
    A = "a"
    EMPTY = ""


class Point(NamedTuple):
    x: int
    y: float


class Words(str):
    """Prints something else than it is."""

    def __str__(self) -> str:
        return "something else"

    __repr__ = __str__


class Bytes(bytes):
    pass


class Whole(int):
    pass


class Real(float):
    pass


def around(*numbers: int) -> list[int]:
    return [sign * (n + off) for n in numbers for off in (-1, 0, 1) for sign in (1, -1)]


INTEGERS = around(0, 1, 32, 128, 256, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 53)
INTEGERS += around(1 << 63, 1 << 64, 1 << 70, 1 << 127, 1 << 128, 10**300)
FLOATS = [float(n) for n in around(0, 1, 1 << 31, 1 << 53, 1 << 63, 1 << 64, 1 << 70)]
FLOATS += [-0.0, 0.5, -0.5, 1e300, -1e300, 1.7976931348623157e308, 5e-324, float("inf")]
FLOATS += [float("-inf"), 0.1, 2.5, 1e16 + 2]
STRINGS = ["", "a", "b", "1", "é", "e\u0301", "日本語", "😀", "\0", "a\0", "\ud800", "\udfff\ud800"]
STRINGS += ["x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65535, "x" * 65536]
BYTES = [b"", b"a", b"1", b"\0", b"\xff", b"\xed\xa0\x80", b"x" * 255, b"x" * 256, b"x" * 65536]
SCALARS: list[Any] = [*INTEGERS, *FLOATS, *STRINGS, *BYTES, True, False, None]
TUPLES: list[Any] = [(), ((),), ((), ()), (1,), (1.0,), (True,), (Number.ONE,), ("1",), (b"1",)]
TUPLES += [(None,), (1, 2.0), Point(1, 2.0), (1, 2.5), Point(1, 2.5), (-0.0,), (0,), (0, ())]
TUPLES += [("a", (b"b", (None, (1 << 70, 0.1)))), (("a",), "b"), ("a", ("b",)), tuple(range(20))]
TUPLES += [tuple(map(float, range(20))), (Point(1, 2.0),), ((1, 2),), ("\ud800",), ("a" * 16,)]
KIN: list[Any] = [Number.ONE, Number.BIG, Flag.TWO, Text.A, Text.EMPTY, Words("a"), Words("日本語")]
KIN += [Words("\ud800"), Bytes(b"a"), Whole(1), Whole(1 << 70), Real(0.5), Real(2.0), Real(1e300)]
KIN += [fractions.Fraction(1, 2), fractions.Fraction(4, 2)]
KIN += [numpy.int8(1), numpy.int64(-1), numpy.uint64((1 << 64) - 1), numpy.float64(0.1)]
KIN += [numpy.float64(2.0), numpy.float32(0.1), numpy.float32(2.5), numpy.float16(0.5)]
KIN += [numpy.str_("a"), numpy.bytes_(b"a"), numpy.longdouble(2.5)]
KIN += [decimal.Decimal(12345), decimal.Decimal("0.5"), decimal.Decimal("-0.00"), decimal.Decimal("1E+2")]
KIN += [decimal.Decimal("Infinity"), 3 + 0j, 0.5 + 0j, numpy.complex128(1), numpy.complex64(2.5)]
KIN += [numpy.True_, numpy.bool_(0), memoryview(b"a")]
KEYS = SCALARS + TUPLES + KIN


def test_all_pairs_of_keys_are_equal_in_a_table_if_they_are_in_a_dict(new: NEW) -> None:
    for key in KEYS:
        d = new({key: 1}, capacity=1, value_space=1 << 18)
        found = [i for i, value in enumerate(d.get_many(KEYS)) if value == 1]
        expected = [i for i, other in enumerate(KEYS) if {key: 1}.get(other) == 1]
        assert found == expected, key
        d.close()


def test_a_key_comes_back_as_the_plain_key_it_equals(new: NEW) -> None:
    d = new(value_space=1 << 18)
    for key in KEYS:
        d[key] = "value"
        (back,) = d
        assert back == key
        assert hash(back) == hash(key)
        assert is_plain(back), key
        assert list(d.items()) == [(back, "value")]
        assert list(d.copy()) == list(d.snapshot()) == [back]
        assert d[back] == d[key] == "value"
        assert d.popitem() == (key, "value")


def is_plain(key: Any) -> bool:
    return type(key) in PLAIN and (type(key) is not tuple or all(map(is_plain, key)))


def test_a_key_of_a_table_that_holds_many_is_found_by_every_operation(new: NEW) -> None:
    expected: dict[Any, Any] = {key: number for number, key in enumerate(KEYS)}
    d = new(((key, number) for number, key in enumerate(KEYS)), value_space=1 << 22)
    assert len(d) == len(expected)
    assert d == expected
    for key in KEYS:
        assert key in d
        assert d[key] == d.get(key) == d.setdefault(key, "no") == d.wait(key, 0) == expected[key]
        assert d.get_or_compute(key, lambda: pytest.fail("it is there")) == expected[key]
    for key in KEYS:
        assert d.pop(key, None) == expected.pop(key, None)
    assert len(d) == 0


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(1 << 80), 1 << 80)
    | st.floats(allow_nan=False)
    | st.floats(allow_nan=False, width=16).map(numpy.float16)
    | st.integers(-(1 << 63), (1 << 63) - 1).map(numpy.int64)
    | st.integers(-1000, 1000).map(float)
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.sampled_from(SCALARS)
    | st.sampled_from(KIN)
)
keys = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=10)


def other_forms(key: Any) -> list[Any]:
    """Keys that look like a key, and may equal it."""
    forms = [key, (key,), (key, key)]
    if isinstance(key, str):
        forms += [key.encode("utf-8", "surrogatepass"), Words(key), key + "\0"]
    elif isinstance(key, bytes):
        forms += [key.decode("latin-1"), Bytes(key), key + b"\0"]
    elif isinstance(key, tuple):
        forms += [*key, key[::-1], (*key, None)]
    elif isinstance(key, int | float | numpy.floating | numpy.integer):
        forms += [-key, str(key), Real(key) if abs(key) <= 65504 else key, bool(key)]
        if abs(key) != float("inf"):
            forms += [int(key), Whole(key), int(key) + 1]
    return [form for form in forms if form == form]


@given(st.lists(keys, max_size=10), keys)
@example([1, 1.0, True], numpy.int8(1))
@example([float(1 << 63), float(1 << 64), 1 << 64], 1 << 63)
def test_any_keys_are_found_as_dict_finds_them(several: list[Any], sought: Any) -> None:
    entries = list(zip(several, itertools.count(), strict=False))
    with SharedDict(iter(entries), capacity=10, value_space=1 << 20) as d:
        expected = dict(entries)
        assert d == expected
        forms = [form for key in [*several, sought] for form in other_forms(key)]
        assert d.get_many(forms) == [expected.get(form) for form in forms]
        assert [form in d for form in forms] == [form in expected for form in forms]
        assert all(map(is_plain, d))


# Every operation with a key.

OPERATIONS: dict[str, Callable[[ANYTHING, Any], object]] = {
    "d[k]": lambda d, k: d[k],
    "d[k] = v": lambda d, k: d.__setitem__(k, 1),
    "del d[k]": lambda d, k: d.__delitem__(k),
    "k in d": lambda d, k: k in d,
    "k in d.keys()": lambda d, k: k in d.keys(),
    "(k, v) in d.items()": lambda d, k: (k, 1) in d.items(),
    "get": lambda d, k: d.get(k),
    "get with a default": lambda d, k: d.get(k, 0),
    "pop": lambda d, k: d.pop(k),
    "pop with a default": lambda d, k: d.pop(k, 0),
    "setdefault": lambda d, k: d.setdefault(k, 1),
    "get_many": lambda d, k: d.get_many(["there", k]),
    "set_many": lambda d, k: d.set_many([(k, 1)]),
    "update": lambda d, k: d.update([(k, 1)]),
    "|=": lambda d, k: d.__ior__([(k, 1)]),
    "add": lambda d, k: d.add(k),
    "compare_exchange": lambda d, k: d.compare_exchange(k, 0, 1),
    "update_value": lambda d, k: d.update_value(k, lambda old: old, 0),
    "get_or_compute": lambda d, k: d.get_or_compute(k, lambda: 1),
    "edit": lambda d, k: d.edit(k, []),
    "wait": lambda d, k: d.wait(k, 0),
    "wait_any": lambda d, k: d.wait_any([k], 0),
    "watch": lambda d, k: d.watch(k),
    "SharedDict": lambda d, k: SharedDict([(k, 1)], capacity=10, value_space=4 << 20),
    "fromkeys": lambda d, k: SharedDict.fromkeys([k], capacity=10, value_space=4 << 20),
}
THERE = {"there": [1], "more": None}


def outcome(operation: Callable[[ANYTHING, Any], object], d: ANYTHING, key: Any) -> tuple[Any, str]:
    """What an operation raises."""
    try:
        operation(d, key)
    except Exception as error:
        return type(error), str(error)
    return None, ""


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


class Failing:
    def __hash__(self) -> int:
        raise ZeroDivisionError("no hash today")


@pytest.mark.parametrize(
    "key",
    [[], {}, set(), bytearray(b"a"), Unhashable(), Failing(), numpy.array([1]), ([],)]
    + [(1, (2, ({},))), Point([], 1), (Failing(),)],  # type: ignore[arg-type]
    ids=repr,
)
def test_what_cannot_be_hashed_is_refused_as_hash_refuses_it(new: NEW, key: Any) -> None:
    with pytest.raises(Exception) as expected:
        hash(key)
    d = new(THERE)
    for name, operation in OPERATIONS.items():
        found = outcome(operation, d, key)
        assert (name, *found) == (name, expected.type, str(expected.value))
        assert d == THERE


class OtherWord(str):
    """Equals nothing that a table could know."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return 7


class OtherHash(int):
    def __hash__(self) -> int:
        return 7


def nested(depth: int) -> tuple[Any, ...]:
    key: tuple[Any, ...] = ()
    for _ in range(depth - 1):
        key = (key,)
    return key


EXOTIC: dict[str, Any] = {
    "object": object(),
    "function": len,
    "path of another system": PureWindowsPath("a"),
    "enum without a place": enum.Enum("Kind", "ONE").ONE,
    "class without a place": type("Nowhere", (), {}),
    "Ellipsis": ...,
    "range": range(3),
    "time with a zone": datetime.time(1, tzinfo=datetime.timezone.utc),
    "numpy.datetime64": numpy.datetime64("2024-02-29"),
    "numpy.timedelta64": numpy.timedelta64(1, "s"),
    "call's arguments": functools._make_key((1, 2), {"a": 1}, False),
    "complex nan": complex(float("nan"), 1),
    "Decimal nan": decimal.Decimal("nan"),
    "frozenset of an object": frozenset({object()}),
    "frozenset of nan": frozenset({float("nan")}),
    "str with an equality of its own": OtherWord("a"),
    "int with a hash of its own": OtherHash(1),
    "nan": float("nan"),
    "numpy's nan": numpy.float64("nan"),
    "float subclass, nan": Real("nan"),
    "nested 129 deep": nested(129),
    "nested 1000 deep": nested(1000),
}
EXOTIC |= {f"tuple with {name}": (1, (key,)) for name, key in EXOTIC.items()}
EXOTIC |= {"named tuple with a range": Point(range(3), 0.0)}  # type: ignore[arg-type]


@pytest.mark.parametrize("key", EXOTIC.values(), ids=EXOTIC)
def test_keys_of_other_types_are_refused_and_change_nothing(new: NEW, key: Any) -> None:
    d = new(THERE)
    for name, operation in OPERATIONS.items():
        kind, message = outcome(operation, d, key)
        assert (name, kind) == (name, KeyTypeError)
        assert "key" in message
        assert d == THERE


def test_the_refusal_of_a_key_names_its_type_and_the_remedy(d: ANYTHING) -> None:
    with pytest.raises(KeyTypeError, match=r"not a range; use .* such as str\(key\)"):
        d[range(3)]
    with pytest.raises(KeyTypeError, match="nan cannot be a key: it does not equal itself"):
        d[float("nan")]
    with pytest.raises(KeyTypeError, match="nested more than 128 deep"):
        d[nested(129)]


def test_tuples_nested_up_to_128_deep_are_keys(d: ANYTHING) -> None:
    for depth in (1, 2, 15, 16, 127, 128):
        d[nested(depth)] = depth
        assert d[nested(depth)] == depth
    assert set(d) == {nested(depth) for depth in (1, 2, 15, 16, 127, 128)}


# How long they may be.

# A string from 64 KiB on takes five bytes more than its characters.
LONGEST = (1 << 20) - 1
HEAD = 5


@pytest.mark.parametrize("make", [lambda n: "x" * n, lambda n: b"x" * n])
def test_the_longest_key_is_stored_and_found(new: NEW, make: Callable[[int], Any]) -> None:
    d = new(capacity=2, value_space=8 << 20)
    key = make(LONGEST - HEAD)
    d[key] = 1
    assert list(d) == [key]
    assert d.pop(key) == 1


STORING = {"d[k] = v", "setdefault", "set_many", "update", "|=", "add", "update_value"}
STORING |= {"get_or_compute", "SharedDict", "fromkeys"}


@pytest.mark.parametrize(
    "key",
    ["x" * (LONGEST - HEAD + 1), b"x" * (2 << 20), ("é" * (1 << 19),)],
    ids=["str", "bytes", "tuple"],
)
def test_a_longer_key_is_refused_by_what_would_store_it_and_else_is_not_there(
    new: NEW, key: Any
) -> None:
    d = new(THERE, value_space=4 << 20)
    for name, operation in OPERATIONS.items():
        kind, message = outcome(operation, d, key)
        if name in STORING:
            assert (name, kind) == (name, KeyTooLargeError)
            assert "the limit is 1048575; store a digest of it" in message
        else:
            assert kind in (None, MissingKeyError, WaitTimeoutError, KeyTooLargeError), name
        assert d == THERE


def test_how_long_a_key_may_be_depends_on_a_small_table(new: NEW) -> None:
    d = new(capacity=1, value_space=64)
    with pytest.raises(KeyTooLargeError, match=r"1005 bytes, the limit is \d{2,3};"):
        d["x" * 1002] = 1
    assert d == {}


# Raw tables.


@pytest.mark.parametrize("key", ["a", 1, None, (b"a",), bytearray(b"a"), []], ids=repr)
def test_a_raw_table_takes_keys_that_are_bytes_alone(new: NEW, key: Any) -> None:
    raw = {b"there": b"value"}
    d = new(raw, codec="raw")
    operations = {name: act for name, act in OPERATIONS.items() if "SharedDict" not in name}
    operations |= {"get_many": lambda d, k: d.get_many([b"there", k])}
    try:
        hash(key)
        expected = (KeyTypeError, "bytes")
    except TypeError as error:
        expected = (TypeError, str(error))
    for name in operations.keys() - {"fromkeys"}:
        kind, message = outcome(operations[name], d, key)
        assert (name, kind) == (name, expected[0])
        assert expected[1] in message
        assert d == raw


def test_a_raw_table_finds_all_bytes(new: NEW) -> None:
    d = new({key: key for key in BYTES}, codec="raw", value_space=1 << 20)
    d[Bytes(b"kin")] = Bytes(b"kin")
    assert d == {key: key for key in [*BYTES, b"kin"]}
    assert all(type(key) is bytes for key in d)


@pytest.mark.parametrize("letters", ["abcdefg", "äöüßéèê", "aä", "日本語", "a日ä𝄞"])
def test_texts_of_every_length_have_the_bytes_of_messagepack(name: str, letters: str) -> None:
    texts = [(letters * 40)[:length] for length in range(41)]
    with SharedDict.create(name, capacity=100) as d:
        for text in texts:
            d[text] = len(text)
            assert d[text] == d.get(text) == len(text)
            assert text in d
        assert sorted(d) == sorted(texts)
        with SharedDict.open(name, codec="raw") as raw:
            assert set(raw) == {msgpack.packb(text) for text in texts}
