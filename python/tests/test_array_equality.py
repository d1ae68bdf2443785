"""When does `compare_exchange` find an array equal to another value?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

from shmtable import SharedDict

NEW = Callable[..., SharedDict[Any, Any]]

NAN = numpy.array([[1.0, numpy.nan], [3.0, 4.0]], order="F")

EQUAL: dict[str, tuple[Any, Any]] = {
    "a copy in another order": (NAN, NAN.copy()),
    "a view": (numpy.arange(10)[::2], numpy.arange(0, 10, 2)),
    "a transposed array": (numpy.arange(6).reshape(2, 3).T, numpy.array([[0, 3], [1, 4], [2, 5]])),
    "zeros of both signs": (numpy.array([0.0]), numpy.array([-0.0])),
    "objects": (numpy.array(["a", None], dtype=object), numpy.array(["a", None], dtype=object)),
    "of no items": (numpy.ones((0, 2)), numpy.ones((0, 2))),
    "of no dimension": (numpy.array(5), numpy.array(5)),
    "numpy's numbers": (numpy.float64(1.5), 1.5),
}
OTHER: dict[str, tuple[Any, Any]] = {
    "a number": (numpy.ones(1), 1),
    "a number of no dimension": (numpy.array(1), 1),
    "a list": (numpy.ones(1), [1.0]),
    "another shape": (numpy.ones(1), numpy.ones((1, 1))),
    "another dtype": (numpy.ones(1), numpy.ones(1, dtype=int)),
    "other items": (numpy.arange(3), numpy.arange(3) * 2),
    "an empty array": (numpy.ones(1), numpy.ones(0)),
}


@pytest.mark.parametrize(("value", "expected"), EQUAL.values(), ids=EQUAL)
def test_an_array_equals_one_of_the_same_items(new: NEW, value: Any, expected: Any) -> None:
    d = new({"a": value})
    assert d.compare_exchange("a", expected, "changed")
    assert d["a"] == "changed"


@pytest.mark.parametrize(("value", "expected"), OTHER.values(), ids=OTHER)
def test_an_array_equals_nothing_else(new: NEW, value: Any, expected: Any) -> None:
    for stored, other in ((value, expected), (expected, value)):
        d = new({"a": stored})
        assert not d.compare_exchange("a", other, "changed")
        assert type(d["a"]) is type(stored)
