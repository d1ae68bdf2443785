"""Are keys that are numbers of very many digits found again, also by keys that equal them?"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from shmtable import KeyTooLargeError, SharedDict

NEW = Callable[..., SharedDict[Any, Any]]

LONG = "123456789" * 1000

EQUAL: dict[str, tuple[Any, ...]] = {
    "a power of ten": (Decimal("1E+20000"), 10**20000, Fraction(10**20000)),
    "a negative one": (Decimal("-7E+9000"), -7 * 10**9000),
    "many digits": (Decimal(LONG), Decimal(LONG + ".000"), Decimal(LONG + "00E-2")),
    "many places": (Decimal("1." + LONG), Decimal("1." + LONG + "00")),
    "a small power of ten": (Decimal("1E-20000"), Fraction(1, 10**20000)),
    "a power of five below": (Fraction(1, 5**9000), Fraction(2**9000, 10**9000)),
    "a power of two below": (Fraction(-3, 2**9000), Fraction(-3 * 5**9000, 10**9000)),
    "a factor of three below": (Fraction(1, 3 * 5**9000), Fraction(3, 9 * 5**9000)),
    "nearly a power of five": (Fraction(1, 5**9000 + 2**70),),
}


@pytest.mark.parametrize("equal", EQUAL.values(), ids=EQUAL)
def test_numbers_that_are_equal_are_one_key(new: NEW, equal: tuple[Any, ...]) -> None:
    for stored in equal:
        d = new({stored: 1})
        assert all(number in d for number in equal)
        (back,) = d
        assert back == stored
        assert hash(back) == hash(stored)
        del d[back]


# To convert these digit by digit takes minutes, in which nothing else runs.
HUGE: dict[str, Any] = {
    "Decimal": Decimal("1E+600000"),
    "Decimal of many digits": Decimal("1" * 200_000 + "3"),
    "Fraction of a power of five": Fraction(1, 5**600_000),
    "Fraction of a power of three": Fraction(1, 3**600_000),
    "int": 10**1_000_000,
}


@pytest.mark.parametrize("number", HUGE.values(), ids=HUGE)
def test_numbers_of_very_many_digits_are_keys(new: NEW, number: Any) -> None:
    d = new({number: 1})
    assert d[number] == 1
    assert d.pop(number) == 1
    assert number not in d


TOO_LARGE: dict[str, Any] = {
    "Decimal": Decimal("1E+2600000"),
    "Decimal beyond all memory": Decimal("-1E+999999999999"),
    "Fraction": Fraction(1, 3 << 8_400_000),
    "Fraction whose decimal places are many": Fraction(3, 1 << 4_000_000),
    "int": 1 << 8_400_000,
    "in a tuple": ("a", Decimal("1E+2600000")),
    "in a frozenset": frozenset([Decimal("1E+2600000")]),
}


@pytest.mark.parametrize("key", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_number_that_no_table_holds_is_refused_and_found_nowhere(new: NEW, key: Any) -> None:
    d = new({"a": 1})
    with pytest.raises(KeyTooLargeError):
        d[key] = 1
    assert key not in d
    assert d.get(key, "nothing") == "nothing"
    assert d.get_many([key, "a"]) == [None, 1]
    assert d.pop(key, None) is None
    assert d == {"a": 1}


def test_an_integer_of_a_million_digits_is_a_value(new: NEW) -> None:
    d = new({"a": 10**1_000_000}, value_space=1 << 24)
    assert d["a"] == 10**1_000_000
