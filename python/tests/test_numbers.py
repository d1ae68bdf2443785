"""Does `add` take every number, and say what is wrong with all else?"""

from __future__ import annotations

import decimal
import enum
import fractions
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from shmtable import NotANumberError, SharedDict

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Level(enum.IntEnum):
    THREE = 3


class Index:
    def __index__(self) -> int:
        return 3


class Real(float):
    pass


WHOLE: list[Any] = [3, Level.THREE, Index(), numpy.int8(3), numpy.int64(3), numpy.uint64(3)]
WHOLE += [numpy.array(3), numpy.arange(3).sum(), numpy.intp(3)]
TRUTHS: list[Any] = [True, numpy.True_, numpy.bool_(1)]
REAL: list[Any] = [0.5, Real(0.5), numpy.float16(0.5), numpy.float32(0.5), numpy.float64(0.5)]
REAL += [numpy.longdouble(0.5)]
NUMBERS = [(n, 3) for n in WHOLE] + [(n, 1) for n in TRUTHS] + [(n, 0.5) for n in REAL]


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json"])
@pytest.mark.parametrize(("n", "plain"), NUMBERS, ids=lambda n: f"{type(n).__name__}")
def test_every_number_is_added_as_the_plain_one(
    new: NEW, codec: str, n: Any, plain: float
) -> None:
    d = new({"there": 2}, codec=codec)
    for key, sum_ in [("new", plain), ("there", 2 + plain), ("there", 2 + 2 * plain)]:
        added = d.add(key, n)
        assert (type(added), added) == (type(plain), sum_)
        assert (type(d[key]), d[key]) == (type(plain), sum_)


@pytest.mark.parametrize(("old", "plain"), NUMBERS, ids=lambda n: f"{type(n).__name__}")
def test_every_number_that_is_stored_is_added_to(new: NEW, old: Any, plain: float) -> None:
    d = new({"key": old})
    added = d.add("key", 2)
    assert (type(added), added) == (type(plain), plain + 2)
    assert (type(d["key"]), d["key"]) == (type(plain), plain + 2)
    assert d.add("key", old) == 2 * plain + 2


def test_a_stored_integer_of_numpy_does_not_wrap_around(new: NEW) -> None:
    d = new({"key": numpy.int8(127), "most": numpy.uint64((1 << 64) - 1)})
    assert d.add("key", numpy.int8(127)) == 254
    assert d.add("most", numpy.int64(1)) == 1 << 64


@pytest.mark.parametrize("n", [numpy.int64(3), True, Index()], ids=repr)
def test_a_counter_of_a_raw_table_takes_every_whole_number(new: NEW, n: Any) -> None:
    d = new(codec="raw")
    assert d.add(b"key", n) == (1 if n is True else 3)


NO_NUMBERS: list[Any] = ["1", b"1", None, [1], (1,), {}, 1 + 2j, decimal.Decimal(1)]
NO_NUMBERS += [fractions.Fraction(1, 2), numpy.array([1, 2]), numpy.array(["a"])]
NO_NUMBERS += [numpy.timedelta64(1, "s"), numpy.complex128(1)]


@pytest.mark.parametrize("n", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_by_its_name(new: NEW, n: Any) -> None:
    d = new({"key": 1})
    named = type(n).__name__
    with pytest.raises(NotANumberError, match=rf"and n is a .*{named}; update_value\(\)"):
        d.add("key", n)
    assert d == {"key": 1}


@pytest.mark.parametrize("old", NO_NUMBERS, ids=repr)
def test_a_value_that_is_no_number_is_named_with_its_key(new: NEW, old: Any) -> None:
    d = new({("hits", 1): old})
    pattern = r"and the value of the key \('hits', 1\) is a .*" + type(old).__name__
    with pytest.raises(NotANumberError, match=pattern):
        d.add(("hits", 1))
    assert repr(d["hits", 1]) == repr(old)


def test_add_refuses_what_is_no_number_on_both_sides(new: NEW) -> None:
    for codec in ("pickle", "msgpack", "json"):
        values = {"text": "1", "none": None, "list": [1], "number": 1}
        d = new(values, codec=codec)
        for key in ("text", "none", "list"):
            with pytest.raises(NotANumberError, match=r"add\(\) takes ints and floats"):
                d.add(key)
        for wrong in ("1", None, [1], 1j):
            with pytest.raises(NotANumberError, match=r"add\(\) takes ints and floats"):
                d.add("number", wrong)
            with pytest.raises(NotANumberError):
                d.add("new", wrong)
        assert d == values


def test_a_raw_counter_refuses_other_values_and_overflow(new: NEW) -> None:
    d = new({b"short": b"1", b"long": b"123456789"}, codec="raw")
    for key in (b"short", b"long"):
        with pytest.raises(NotANumberError, match="a counter has 8"):
            d.add(key)
    d.add(b"counter", (1 << 63) - 1)
    before = d.copy()
    with pytest.raises(NotANumberError, match="would overflow"):
        d.add(b"counter")
    for wrong in (1 << 63, 0.5, -(1 << 63) - 1):
        with pytest.raises(NotANumberError):
            d.add(b"counter", wrong)
    assert d == before


def test_add_of_a_bool_counts_as_it_does_elsewhere(new: NEW) -> None:
    for codec in ("pickle", "msgpack", "json"):
        d = new(codec=codec)
        total = d.add("a", True)
        assert (type(total), total, type(d["a"]), d["a"]) == (int, 1, int, 1), codec


@pytest.mark.parametrize("edge", [0, -32, -128, -(2**15), -(2**31), -(2**63) + 2, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**63 - 3])
def test_sums_about_every_width_are_stored_as_their_ints_are(new: NEW, edge: int) -> None:
    d = new()
    with SharedDict.open(d.name, codec="raw") as raw:
        for start in range(edge - 2, edge + 3):
            for n in (-2, -1, 0, 1, 2, 200, -70_000, 2**33):
                if not -(2**63) <= min(start, start + n):
                    continue
                d[1] = start
                assert d.add(1, n) == start + n
                d[2] = start + n
                assert raw[b"\x01"] == raw[b"\x02"]
                assert d[1] == start + n
