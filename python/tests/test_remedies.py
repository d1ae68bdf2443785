"""Does the remedy that the refusal of a key names work?"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from shmtable import KeyTypeError, SharedDict

NEW = Callable[..., SharedDict[Any, Any]]

UTC = datetime.timezone.utc


def zone(hours: int) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(hours=hours))


REFUSED = [
    numpy.longdouble("0.1"),
    numpy.clongdouble(numpy.longdouble("0.1") + 1j),
    numpy.datetime64("2024-02-29T12:00:00.000000001", "ns"),
    numpy.datetime64("2024-02-29T12:00:00", "us"),
    numpy.datetime64("2024-02-29"),
    numpy.timedelta64(5, "ns"),
    numpy.timedelta64(5, "s"),
    datetime.datetime(1, 1, 1, tzinfo=zone(5)),
    datetime.datetime(9999, 12, 31, 23, tzinfo=zone(-5)),
    datetime.time(1, tzinfo=UTC),
    range(3),
]


@pytest.mark.parametrize("key", REFUSED, ids=lambda key: f"{type(key).__name__} {key}")
def test_what_a_refusal_recommends_is_a_key(new: NEW, key: Any) -> None:
    d = new()
    with pytest.raises(KeyTypeError) as refused:
        d[key] = 1
    pattern = r"(?:such as|use) ([a-z_.]+\([a-z.]*\)|key[a-z_.]+\([a-z.]*\))"
    recommended = re.findall(pattern, str(refused.value))
    assert recommended, str(refused.value)
    instead = eval(recommended[-1], {"key": key, "datetime": datetime})
    assert instead != key or type(instead) is not type(key)
    d[instead] = 1
    assert d[instead] == 1


def test_a_datetime_beyond_the_years_of_utc_is_told_so(new: NEW) -> None:
    with pytest.raises(KeyTypeError, match=r"year in UTC is not one from 1 to 9999: use str\(key\)"):
        new()[datetime.datetime(1, 1, 1, tzinfo=zone(5))] = 1


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_a_class_is_told_to_use_its_name(codec: Any) -> None:
    with SharedDict[Any, Any](capacity=10, codec=codec) as d:
        with pytest.raises(KeyTypeError, match="a key that is a class, .* needs a table with codec=.pickle.; use its name$"):
            d[int] = 1


@pytest.mark.parametrize(
    ("key", "kind"), [(object(), "an object"), (..., "an ellipsis"), (range(3), "a range")], ids=repr
)
def test_a_refusal_has_the_article_of_the_type(new: NEW, key: Any, kind: str) -> None:
    with pytest.raises(KeyTypeError, match=f"not {kind}; use"):
        new()[key] = 1
