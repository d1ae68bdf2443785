"""Are keys with a common prefix found together, and removed together?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtable import ClosedError, KeyTypeError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
CODECS = ["pickle", "msgpack", "json"]

# Keys around every length at which MessagePack begins another form, and of all types.
TEXTS = [
    *("", "a", "ab", "a\0", "b", "ä", "äö", "a\ud800", "\ud83d", "\U0001f600", "\udc80"),
    *("x" * length for length in (15, 16, 30, 31, 32, 33, 255, 256, 257, 65_535, 65_536)),
    *("x" * length + "\udcff" for length in (1, 2, 5, 13, 14, 253, 254, 65_533)),
]
KEYS: list[Any] = [
    *TEXTS,
    *(text.encode("utf-8", "surrogatepass") for text in TEXTS),
    *(("a",), ("a", 1), ("a", 1, "b"), ("a", 10), (1, "a"), (), (("a",),), (("a", 1),), ("ab",)),
    *(tuple(range(length)) for length in (15, 16, 17, 65_536)),
    *(None, True, 0, 97, -1, 1.5, 2**70, float("inf")),
]


def begins(key: Any, prefix: Any) -> bool:
    if isinstance(prefix, tuple):
        return isinstance(key, tuple) and key[: len(prefix)] == prefix
    return isinstance(key, type(prefix)) and key.startswith(prefix)


@pytest.fixture(scope="module", params=CODECS)
def every(request: pytest.FixtureRequest) -> Iterator[ANYTHING]:
    with SharedDict(capacity=1000, value_space=1 << 24, codec=request.param) as d:
        d.update((key, number) for number, key in enumerate(KEYS))
        yield d


def test_scan_finds_exactly_the_keys_that_begin_with_each_prefix(every: ANYTHING) -> None:
    numbers = every.copy()
    prefixes = [key for key in KEYS if isinstance(key, (str, bytes, tuple))]
    for prefix in prefixes:
        found = dict(every.scan(prefix))
        assert found == {key: numbers[key] for key in numbers if begins(key, prefix)}
        assert prefix in found


def test_scan_of_raw_keys_goes_by_their_bytes() -> None:
    with SharedDict(capacity=100, codec="raw") as d:
        d.update({b"": b"1", b"a": b"2", b"ab": b"3", b"\xa1a": b"4"})
        assert dict(d.scan(b"")) == d.copy()
        assert dict(d.scan(b"a")) == {b"a": b"2", b"ab": b"3"}
        assert d.remove_prefix(b"a") == 2
        assert dict(d) == {b"": b"1", b"\xa1a": b"4"}
        with pytest.raises(KeyTypeError, match="raw"):
            d.scan("a")  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", [None, 1, 1.5, True, 2**70])
def test_a_prefix_that_nothing_begins_with_is_a_type_error(d: ANYTHING, prefix: Any) -> None:
    d[prefix] = 1
    for method in (d.scan, d.remove_prefix):
        with pytest.raises(KeyTypeError, match="a prefix is a str, bytes or a tuple, not a"):
            method(prefix)
    with pytest.raises(TypeError, match="list"):
        d.scan([1])  # type: ignore[arg-type]
    assert d.copy() == {prefix: 1}


def test_remove_prefix_removes_what_scan_finds_and_says_how_many(every: ANYTHING) -> None:
    for prefix in ("x", b"a", ("a",), "not there", ""):
        expected = {key: value for key, value in every.items() if not begins(key, prefix)}
        before = len(every)
        assert every.remove_prefix(prefix) == before - len(expected)
        assert every.copy() == expected
    every.update((key, number) for number, key in enumerate(KEYS))


def test_subclasses_of_str_and_tuple_are_prefixes_as_they_are_keys(d: ANYTHING) -> None:
    class Text(str):
        pass

    class Pair(tuple[Any, ...]):
        pass

    d.update({"ab": 1, ("a", "b"): 2})
    assert list(d.scan(Text("a"))) == [("ab", 1)]
    assert list(d.scan(Pair("a"))) == [(("a", "b"), 2)]


def test_a_scan_may_remove_what_it_finds(new: Callable[..., ANYTHING]) -> None:
    d = new({("job", number): number for number in range(900)} | {"other": 1})
    for key, value in d.scan(("job",)):
        assert d.pop(key) == value
    assert d.copy() == {"other": 1}


def test_a_scan_of_a_closed_table_is_a_closed_error() -> None:
    with SharedDict({"a": 1}, capacity=10) as d:
        found = d.scan("b")
    with pytest.raises(ClosedError):
        next(found)
    with pytest.raises(ClosedError):
        d.scan("a")


def test_a_read_only_handle_scans_too(name: str) -> None:
    with (
        SharedDict.create(name, capacity=100) as d,
        SharedDict.open(name, read_only=True) as reader,
    ):
        d.update({"a": 1, "b": 2})
        assert list(reader.scan("a")) == [("a", 1)]
        with pytest.raises(PermissionError):
            reader.remove_prefix("a")


def test_what_is_there_throughout_is_scanned_once_while_others_write(name: str) -> None:
    with SharedDict.create(name, capacity=3000) as d:
        d.update((("stays", number), number) for number in range(1000))

        def write() -> None:
            d["writes"] = 1
            for round in range(1000):
                for number in range(20):
                    d["comes and goes", number] = round
                d.remove_prefix(("comes and goes",))
                if "stop" in d:
                    break

        writer = workers.fork(write)
        d.wait("writes", workers.GUARD)
        for _ in range(30):
            found = list(d.scan(("stays",)))
            assert sorted(found) == [(("stays", number), number) for number in range(1000)]
        d["stop"] = True
        workers.all_well([writer])
