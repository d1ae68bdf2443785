"""Does `compare_exchange` find a value equal to what was read?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

from shmtable import MISSING, SharedDict

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]

NAN = float("nan")


class ByIdentity:
    """Equals itself alone, as objects do."""

    def __init__(self) -> None:
        self.content = [1]


class Frame:
    """Raises where its labels differ, as data frames do."""

    def __init__(self, *labels: str) -> None:
        self.labels = labels

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Frame) or self.labels != other.labels:
            raise ValueError("Can only compare identically-labeled Frame objects")
        return Undecided()

    __hash__ = None  # type: ignore[assignment]


class Undecided:
    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


word = "".join(["sha", "red"])
VALUES: dict[str, Any] = {
    "nan": NAN,
    "list with nan": [1.0, NAN],
    "dict with nan": {"a": {"b": NAN}},
    "tuple with nan": (NAN, "a"),
    "set with nan": {NAN},
    "array": numpy.arange(6).reshape(2, 3),
    "array with nan": numpy.array([NAN, 1.0]),
    "array of objects": numpy.array([{"a": 1}, None], dtype=object),
    "empty array": numpy.array([]),
    "array in a dict": {"array": numpy.arange(3), "name": "a"},
    "arrays that share": (numpy.arange(3), [word, word]),
    "numpy's nan": numpy.float64(NAN),
    "object": ByIdentity(),
    "frame": Frame("a"),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_was_read_is_found_equal(new: NEW, value: Any) -> None:
    d = new({"key": value})
    assert d.compare_exchange("key", d["key"], "new") is True
    assert d["key"] == "new"


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_was_stored_is_found_equal(new: NEW, value: Any) -> None:
    d = new({"key": value})
    assert d.compare_exchange("key", value, MISSING) is True
    assert d == {}


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
def test_nan_is_found_equal_with_every_codec_that_takes_it(new: NEW, codec: str) -> None:
    for value in (NAN, [NAN], {"a": [1, NAN]}):
        d = new({"key": value}, codec=codec)
        assert d.compare_exchange("key", d["key"], 1) is True


OTHERS: list[tuple[Any, Any]] = [
    (numpy.arange(3), numpy.arange(1, 4)),
    (numpy.arange(3), numpy.arange(4)),
    (numpy.ones(3), 1),
    (1, numpy.ones(3)),
    ({"array": numpy.arange(3)}, {"array": numpy.arange(1, 4)}),
    (Frame("a"), Frame("b")),
    (Frame("a"), 1),
    ([NAN], [1.0]),
    (NAN, [NAN]),
    (ByIdentity(), "text"),
]


@pytest.mark.parametrize(("value", "expected"), OTHERS, ids=repr)
def test_another_value_is_not_found_equal_and_nothing_is_raised(
    new: NEW, value: Any, expected: Any
) -> None:
    d = new({"key": value})
    assert d.compare_exchange("key", expected, "new") is False
    assert repr(d["key"]) == repr(value) or isinstance(value, Frame | ByIdentity)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (1.0, True), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1, 2}, frozenset({1, 2}))]
    + [(numpy.int64(3), 3), (3, numpy.float64(3.0)), ("a", numpy.str_("a"))],
    ids=repr,
)
def test_values_that_python_calls_equal_are_equal_whatever_their_bytes(
    new: NEW, value: Any, expected: Any
) -> None:
    d = new({"key": value})
    assert d.compare_exchange("key", expected, "new") is True


class Anything:
    """Cannot be stored, and equals everything."""

    def __reduce__(self) -> Any:
        raise TypeError("not to be stored")

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_what_cannot_be_stored_may_be_expected(new: NEW) -> None:
    for codec in ("pickle", "msgpack", "json"):
        d = new({"key": [1]}, codec=codec)
        assert d.compare_exchange("key", object(), 2) is False
        assert d.compare_exchange("key", Anything(), 2) is True
        assert d["key"] == 2
        assert d.compare_exchange("none", Anything(), 2) is False


def test_what_equality_raises_of_its_own_is_passed_on(new: NEW) -> None:
    class Failing:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        __hash__ = None  # type: ignore[assignment]

    d = new({"key": [1]})
    with pytest.raises(ZeroDivisionError):
        d.compare_exchange("key", Failing(), 2)
    assert d == {"key": [1]}


def test_a_loop_of_reading_and_exchanging_ends_though_the_value_is_nan(new: NEW) -> None:
    d = new({"key": [NAN, 0]})
    for count in range(1, 10):
        old = d["key"]
        assert d.compare_exchange("key", old, [NAN, old[1] + 1])
        assert d["key"][1] == count


def test_an_array_that_another_one_replaced_is_not_exchanged(new: NEW) -> None:
    d = new({"key": numpy.arange(3)})
    old = d["key"]
    d["key"] = numpy.arange(3) + 0.5
    assert d.compare_exchange("key", old, "new") is False
