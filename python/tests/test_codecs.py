"""What does each codec take and give back, and who may open what?"""

from __future__ import annotations

import collections
import enum
import json
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
import pytest

from shmtable import (
    CodecMismatchError,
    InvalidOptionError,
    KeyTypeError,
    SharedDict,
    ValueTypeError,
)

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Word(str):
    pass


class Number(enum.IntEnum):
    ONE = 1


class Point(NamedTuple):
    x: int
    y: int


def exactly(a: Any, b: Any) -> bool:
    return bool(a == b) and repr(a) == repr(b)


# What is taken, and what comes back.

PLAIN: list[Any] = [None, True, 0, -1, 1 << 63, 0.5, "", "é", [], [1, [2]], {}, {"a": {"b": 1}}]

# Where what comes back is not what was stored.
MSGPACK: list[tuple[Any, Any]] = [(value, value) for value in PLAIN]
MSGPACK += [((), []), ((1, (2,)), [1, [2]]), ([(1,)], [[1]]), ({"a": (1,)}, {"a": [1]})]
MSGPACK += [(Word("a"), "a"), (Number.ONE, 1), (Point(1, 2), [1, 2]), (b"a", b"a")]
MSGPACK += [(collections.OrderedDict(a=1), {"a": 1}), (collections.Counter("a"), {"a": 1})]
MSGPACK += [({(1, (2, 3)): 4}, {(1, (2, 3)): 4}), ({1: 1, None: 2, b"a": 3}, {1: 1, None: 2, b"a": 3})]
MSGPACK += [(1 << 70, 1 << 70), ("\ud800", "\ud800"), (float("inf"), float("inf"))]

JSON: list[tuple[Any, Any]] = [(value, value) for value in PLAIN]
JSON += [((), []), ((1, (2,)), [1, [2]]), ({"a": (1,)}, {"a": [1]}), (Word("a"), "a")]
JSON += [(Number.ONE, 1), (Point(1, 2), [1, 2]), (collections.OrderedDict(a=1), {"a": 1})]
JSON += [({1: 1, None: 2, 0.5: 3, True: 4}, {"1": 4, "null": 2, "0.5": 3}), (1 << 70, 1 << 70)]
JSON += [(1e300, 1e300), ("\0\u2028😀", "\0\u2028😀")]

RAW: list[tuple[Any, Any]] = [(b"", b""), (b"a\0\xff", b"a\0\xff"), (b"x" * 1000, b"x" * 1000)]

TAKEN = {"msgpack": MSGPACK, "json": JSON, "raw": RAW}


class Opaque:
    pass


REFUSED: dict[str, list[Any]] = {
    "msgpack": [{1}, 1j, Opaque(), bytearray(b"a"), [Opaque()], {"a": {1}}, {frozenset(): 1}, int],
    "json": [{1}, b"a", Opaque(), [b"a"], {(1,): 2}, {b"a": 1}, "\ud800", float("nan"), [float("inf")]],
    "raw": ["a", 1, None, [], bytearray(b"a"), memoryview(b"a"), (b"a",)],
}


def key_of(codec: str) -> Any:
    return b"key" if codec == "raw" else "key"


@pytest.mark.parametrize("codec", TAKEN)
def test_a_codec_gives_back_what_it_documents(new: NEW, codec: str) -> None:
    key = key_of(codec)
    for value, back in TAKEN[codec]:
        d = new(codec=codec)
        d[key] = value
        assert exactly(d[key], back)
        assert exactly(d.copy(), {key: back})
        assert exactly(d.get_many([key]), [back])
        assert exactly(list(d.values()), [back])
        assert exactly(d.pop(key), back)
        d.close()


@pytest.mark.parametrize("codec", REFUSED)
def test_a_codec_refuses_what_it_has_no_form_for_and_nothing_changes(new: NEW, codec: str) -> None:
    key, before = key_of(codec), TAKEN[codec][1]
    d = new(codec=codec)
    d[key] = before[0]
    for value in REFUSED[codec]:
        stores: list[Callable[[], object]] = [
            lambda: d.__setitem__(key, value),
            lambda: d.set_many({key: value}),
            lambda: d.update([(key, value)]),
            lambda: d.setdefault(key * 2, value),
            lambda: d.compare_exchange(key, before[1], value),
            lambda: d.update_value(key, lambda _: value),
            lambda: d.get_or_compute(key * 2, lambda: value),
        ]
        for store in stores:
            with pytest.raises(ValueTypeError, match="cannot store a value of type") as caught:
                store()
            assert (caught.value.__cause__ is not None) is (codec == "json")
            assert d == {key: before[1]}


def test_what_is_too_deep_for_messagepack_is_refused(new: NEW) -> None:
    d = new(codec="msgpack")
    value: Any = 1
    for depth in range(1, 200):
        value = (value,)
        if depth <= 128:
            d["key"] = value
        else:
            with pytest.raises(ValueTypeError):
                d["key"] = value
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    with pytest.raises(ValueTypeError):
        d["key"] = cycle


def test_json_is_stored_as_compact_utf8(name: str) -> None:
    with SharedDict(name=name, codec="json", capacity=10) as d:
        d["key"] = {"é": [1, None, 0.5]}
        with SharedDict.open(name, codec="raw") as raw:
            assert raw.copy() == {msgpack.packb("key"): '{"é":[1,null,0.5]}'.encode()}
            raw[msgpack.packb("other")] = b' {"a" : [1.0, "\\u00e9"]}\n'
        assert d["other"] == {"a": [1.0, "é"]}


def test_messagepack_is_stored_without_pickles(name: str) -> None:
    with SharedDict(name=name, codec="msgpack", capacity=100) as d:
        for value, back in MSGPACK:
            d["key"] = value
            with SharedDict.open(name, codec="raw") as raw:
                stored = raw[msgpack.packb("key")]
            assert stored[:1] not in (b"\xc7", b"\xc8", b"\xc9") or stored[2] in (73, 83)
            assert exactly(d["key"], back)


# Opening.

CODECS = ["pickle", "msgpack", "json", "raw"]


@pytest.mark.parametrize("codec", CODECS)
def test_who_opens_a_table_adopts_its_codec(name: str, codec: Any) -> None:
    with SharedDict(name=name, codec=codec, capacity=10) as d:
        assert d.codec == codec
        for again in (
            SharedDict.open(name),
            SharedDict.open(name, read_only=True),
            SharedDict(name=name),
            SharedDict.open(name, codec=codec),
            pickle.loads(pickle.dumps(d)),
        ):
            assert again.codec == codec
            again.close()


@pytest.mark.parametrize("codec", CODECS)
def test_another_codec_is_refused_but_raw_opens_all(name: str, codec: Any) -> None:
    with SharedDict.create(name, codec=codec, capacity=10) as d:
        for other in CODECS:
            for make in (SharedDict.open, lambda name, **options: SharedDict(name=name, **options)):
                if other in (codec, "raw"):
                    with make(name, codec=other) as again:
                        assert again.codec == other
                else:
                    with pytest.raises(CodecMismatchError, match=f'has codec="{codec}", and codec="{other}" was asked for'):
                        make(name, codec=other)
        assert d.codec == codec


def test_a_raw_view_of_a_table_stays_one_in_another_process(name: str) -> None:
    with SharedDict(name=name, capacity=10) as d, SharedDict.open(name, codec="raw") as raw:
        d["a"] = 1
        with pickle.loads(pickle.dumps(raw)) as again:
            assert again.codec == "raw"
            assert again.copy() == {b"\xa1a": b"\x01"}


def test_there_are_four_codecs(new: NEW) -> None:
    for wrong in ("xml", "", "PICKLE", "raw "):
        with pytest.raises(InvalidOptionError, match="allowed is one of pickle, msgpack, json, raw"):
            new(codec=wrong)


def test_json_of_the_module_json_is_what_is_stored(new: NEW) -> None:
    d = new(codec="json")
    for value, back in JSON:
        d["key"] = value
        assert exactly(json.loads(json.dumps(value)), back)
        assert exactly(d["key"], back)


def test_keys_of_every_codec_but_raw_are_the_same(new: NEW) -> None:
    for codec in ("pickle", "msgpack", "json"):
        d = new({("a", 1.0, None): 1}, codec=codec)
        assert d[("a", True, None)] == 1
        with pytest.raises(KeyTypeError):
            d[float("nan")]
