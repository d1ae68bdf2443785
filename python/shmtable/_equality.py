"""Equality of values whose `==` does not return True or False."""

from __future__ import annotations

import sys
from typing import Any


def same(value: Any, other: Any, answer: Any) -> bool:
    """Whether two values are equal, given `answer`, the outcome of `value == other`.

    An array equals only arrays: `numpy.ones(1) == 1` returns an array of one True.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) | isinstance(other, numpy.ndarray):
        return bool(answer)
    if type(value) is not type(other) or (value.shape, value.dtype) != (other.shape, other.dtype):
        return False
    # Subclasses may hold more than their items. They are compared by their stored bytes.
    if type(value) is not numpy.ndarray:
        return False
    # Items that are nan do not equal themselves. `tobytes` uses one order, whatever the array's.
    is_plain = not value.dtype.hasobject
    return bool(answer.all()) or (is_plain and bool(value.tobytes() == other.tobytes()))
