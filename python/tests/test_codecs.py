"""What each codec takes and gives back, what damage does, and who loads pickles."""

from __future__ import annotations

import collections
import contextlib
import enum
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtable import (
    CodecError,
    CodecMismatchError,
    InvalidOptionError,
    KeyTypeError,
    MissingKeyError,
    NotANumberError,
    PickleRefusedError,
    SharedDict,
    ValueTypeError,
    WrongOwnerError,
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


# Damage.


@contextlib.contextmanager
def damaged(codec: Any, **options: Any) -> Iterator[tuple[ANYTHING, ANYTHING]]:
    """A table, and its bytes."""
    name = f"test-{os.getpid()}-{random.getrandbits(64):x}"
    with SharedDict.create(name, codec=codec, capacity=10, value_space=1 << 21, **options) as d:
        try:
            with SharedDict.open(name, codec="raw") as raw:
                yield d, raw
        finally:
            d.unlink()


def reads(d: ANYTHING, key: Any) -> dict[str, Callable[[], object]]:
    """Every operation that decodes a value."""
    return {
        "d[k]": lambda: d[key],
        "get": lambda: d.get(key),
        "get_many": lambda: d.get_many([key]),
        "setdefault": lambda: d.setdefault(key, 1),
        "wait": lambda: d.wait(key, 0),
        "copy": lambda: d.copy(),
        "snapshot": lambda: d.snapshot(),
        "values": lambda: list(d.values()),
        "items": lambda: list(d.items()),
        "in values": lambda: 5 in d.values(),
        "in items": lambda: (key, 5) in d.items(),
        "==": lambda: d == {},
        "|": lambda: d | {},
        "add": lambda: d.add(key),
        "compare_exchange": lambda: d.compare_exchange(key, 5, 6),
        "update_value": lambda: d.update_value(key, lambda old: old),
        "get_or_compute": lambda: d.get_or_compute(key, lambda: 1),
    }


def takes(d: ANYTHING, key: Any) -> dict[str, Callable[[], object]]:
    """Every operation that decodes a value and removes it."""
    return {
        "pop": lambda: d.pop(key),
        "pop with a default": lambda: d.pop(key, None),
        "popitem": lambda: d.popitem(),
        "popitem again": lambda: d.popitem(),
    }


DAMAGE = {
    "nothing": b"",
    "cut off in a string": b"\xa5abc",
    "cut off in a length": b"\xdb\0\0",
    "cut off in a number": b"\xcf\0",
    "cut off in a list": b"\x93\x01\x02",
    "cut off in a dict": b"\x82\x01\x02\x03",
    "cut off in an extension": b"\xc7\x05\x49\x01",
    "bytes left over": b"\x01\x02",
    "a string that is not UTF-8": b"\xa2\xff\xfe",
    "a string with a surrogate that is not marked": b"\xa3\xed\xa0\x80",
    "a marked string that is not UTF-8": b"\xd4\x53\xff",
    "a reserved byte": b"\xc1",
    "a reserved byte in a list": b"\x91\xc1",
    "a huge string": b"\xdb\xff\xff\xff\xff",
    "huge bytes": b"\xc6\xff\xff\xff\xff",
    "a huge list": b"\xdd\xff\xff\xff\xff\x01",
    "a huge dict": b"\xdf\xff\xff\xff\xff\x01\x02",
    "a huge extension": b"\xc9\xff\xff\xff\xff\x49",
    "huge lists in huge lists": b"\xdd\xff\xff\xff\xff" * 100,
    "lists nested too deep": b"\x91" * 129 + b"\x01",
    "dicts nested too deep": b"\x81\x01" * 129 + b"\x01",
    "lists nested much too deep": b"\x91" * 1_000_000,
    "a dict as a dict's key": b"\x81\x80\x01",
    "a pickle as a dict's key": b"\x81\xd4\x50\x4e\x01",
    "an unknown extension": b"\xd4\x01\x01",
    "a timestamp": b"\xd6\xff\0\0\0\0",
}


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
@pytest.mark.parametrize("bytes_", DAMAGE.values(), ids=DAMAGE)
def test_damaged_messagepack_is_a_codec_error_and_stays(codec: str, bytes_: bytes) -> None:
    with damaged(codec) as (d, raw):
        raw[b"\x05"] = bytes_
        for name, read in reads(d, 5).items():
            with pytest.raises(CodecError, match="cannot decode a value: .* codec=\"raw\"") as caught:
                pytest.fail(f"{name} gave {read()!r}")
            assert isinstance(caught.value, ValueError)
            assert raw.copy() == {b"\x05": bytes_}, name
        assert 5 in d and list(d) == [5] and len(d) == 1


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
def test_nesting_of_exactly_128_is_read(codec: str) -> None:
    with damaged(codec) as (d, raw):
        raw[b"\x05"] = b"\x91" * 128 + b"\x01"
        assert repr(d[5]) == "[" * 128 + "1" + "]" * 128


DAMAGED_JSON = {
    "nothing": b"",
    "cut off": b'{"a": [1',
    "bytes left over": b"1 2",
    "not UTF-8": b'"\xff"',
    "a byte of another encoding": b"\xfe\xff\0",
    "no JSON": b"None",
    "MessagePack": b"\x81\xa1a\x01",
    "more digits than Python reads": b"1" * 10_000,
    "nested too deep": b"[" * 200_000,
}


@pytest.mark.parametrize("bytes_", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_damaged_json_is_a_codec_error_and_stays(bytes_: bytes) -> None:
    with damaged("json") as (d, raw):
        raw[b"\x05"] = bytes_
        for name, read in reads(d, 5).items():
            with pytest.raises(CodecError, match="cannot decode a value: "):
                pytest.fail(f"{name} gave {read()!r}")
            assert raw.copy() == {b"\x05": bytes_}, name


DAMAGED_KEYS = {
    "nothing": b"",
    "cut off": b"\xa5abc",
    "bytes left over": b"\x01\x02",
    "not UTF-8": b"\xa1\xff",
    "a dict": b"\x80",
    "a pickle": b"\xd4\x50\x4e",
    "an unknown extension": b"\xd4\x01\x01",
    "nested too deep": b"\x91" * 129 + b"\x01",
    "a huge list": b"\xdd\xff\xff\xff\xff",
}


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json"])
@pytest.mark.parametrize("bytes_", DAMAGED_KEYS.values(), ids=DAMAGED_KEYS)
def test_a_damaged_key_is_a_codec_error_and_stays(codec: str, bytes_: bytes) -> None:
    with damaged(codec) as (d, raw):
        raw[bytes_] = b"1"
        looks: list[Callable[[], object]] = [
            lambda: list(d),
            lambda: list(d.items()),
            lambda: d.copy(),
            lambda: d.snapshot(),
            lambda: d == {},
        ]
        assert repr(d).startswith("SharedDict({<CodecError>: ...}, ")
        for look in looks:
            with pytest.raises(CodecError, match="cannot decode a key: "):
                look()
            assert raw.copy() == {bytes_: b"1"}
        d.clear()
        assert raw.copy() == {}


@pytest.mark.parametrize(
    ("codec", "key", "value"),
    [
        ("pickle", b"\x05", b"\xc1"),
        ("msgpack", b"\x05", b"\xa5abc"),
        ("json", b"\x05", b"None"),
        ("msgpack", b"\xc1", b"\x01"),
    ],
)
def test_what_cannot_be_decoded_is_not_removed_by_who_would_have_got_it(
    codec: str, key: bytes, value: bytes
) -> None:
    with damaged(codec) as (d, raw):
        raw[key] = value
        for name, take in takes(d, 5).items():
            if key == b"\x05" or name.startswith("popitem"):
                with pytest.raises(CodecError):
                    pytest.fail(f"{name} gave {take()!r}")
            assert raw.copy() == {key: value}, name


# Of these kinds is what reading damaged bytes may raise.
READING = (CodecError, PickleRefusedError)

# Bytes that mean something more often than random ones do.
markers = st.sampled_from([bytes([byte]) for byte in [*range(0x80, 0xA4), *range(0xC0, 0x100), 0, 80]])
damage = st.lists(markers | st.binary(max_size=6), max_size=30).map(b"".join) | st.binary()


@settings(max_examples=500)
@given(damage, damage)
def test_any_bytes_are_read_or_refused(key: bytes, value: bytes) -> None:
    for codec in ("pickle", "msgpack", "json"):
        with damaged(codec, allow_pickle=False) as (d, raw):
            raw[b"\x05"] = value
            for read in [*reads(d, 5).values(), *takes(d, 5).values()]:
                # And `add` refuses what is no number, `pop` what was popped.
                with contextlib.suppress(*READING, NotANumberError, MissingKeyError):
                    read()
            raw.clear()
            raw[key] = b"1"
            for look in (lambda: list(d), lambda: d.copy(), lambda: d.popitem()):
                with contextlib.suppress(*READING):
                    look()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner),
    ),
    st.data(),
)
def test_a_value_with_one_byte_changed_is_read_or_refused(value: Any, data: st.DataObject) -> None:
    with damaged("pickle", allow_pickle=False) as (d, raw):
        d[5] = value
        stored = bytearray(raw[b"\x05"])
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
        raw[b"\x05"] = bytes(stored)
        with contextlib.suppress(*READING):
            d[5]
        raw[b"\x05"] = bytes(stored[:-1])
        with contextlib.suppress(*READING):
            d[5]


def test_lists_that_promise_more_than_they_hold_take_no_memory(
    tmp_path: Path, name: str
) -> None:
    script = """
import resource, sys
from shmtable import CodecError, SharedDict

value = b"\\xdd\\xff\\xff\\xff\\xff" * 127 + bytes(16 << 20)
d = SharedDict(name=sys.argv[1], capacity=10, value_space=64 << 20)
raw = SharedDict.open(d.name, codec="raw")
raw[b"\\x05"] = value
# Each of 127 lists promises 16 million elements, of 8 bytes in memory.
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
try:
    print(len(d[5]))
except (CodecError, MemoryError):
    print("refused")
"""
    finished = subprocess.run(
        [sys.executable, "-c", script, name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "refused\n", "")


# Pickles.


class Planted:
    """Writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def plant(raw: ANYTHING, key: bytes, pickled: Any, into: bytes = b"") -> None:
    """Stores a pickle as an attacker would."""
    raw[key] = into + msgpack.packb(msgpack.ExtType(80, pickle.dumps(pickled)))


def test_a_table_that_others_may_write_to_stores_no_pickle(new: NEW) -> None:
    for mode in (0o666, 0o622, 0o602, 0o620, 0o660):
        d = new(mode=mode)
        assert d.allow_pickle is False
        d["plain"] = {"a": [1]}
        for store in (lambda: d.update(key={1}), lambda: d.setdefault("key", (1,))):
            with pytest.raises(PickleRefusedError, match="refused to store a pickle: .*allow_pickle"):
                store()
        assert d == {"plain": {"a": [1]}}
        d.close()


def test_a_table_that_others_may_only_read_stores_pickles(new: NEW) -> None:
    for mode in (0o600, 0o644, 0o640, 0o604):
        d = new({"key": {1}}, mode=mode)
        assert d.allow_pickle is True
        assert d["key"] == {1}
        d.close()


def test_allow_pickle_overrides_the_mode(name: str) -> None:
    with SharedDict(name=name, mode=0o666, allow_pickle=True, capacity=10) as d:
        assert d.allow_pickle is True
        d["key"] = (1, {2})
        assert d["key"] == (1, {2})
        with SharedDict.open(name) as careful, pytest.raises(PickleRefusedError):
            careful["key"]
        with pickle.loads(pickle.dumps(d)) as again:
            assert again["key"] == (1, {2})


def test_allow_pickle_false_refuses_them_in_a_private_table(name: str) -> None:
    with SharedDict({"key": {1}}, name=name, capacity=10) as d:
        with SharedDict.open(name, allow_pickle=False) as careful:
            assert careful.allow_pickle is False
            with pytest.raises(PickleRefusedError, match="refused to load a pickle"):
                careful["key"]
            with pytest.raises(PickleRefusedError, match="refused to store a pickle"):
                careful["key"] = {2}
            with pytest.raises(PickleRefusedError):
                pickle.loads(pickle.dumps(careful))["key"]
        assert d["key"] == {1}


def test_only_tables_whose_codec_is_pickle_have_pickles(new: NEW) -> None:
    for codec in ("msgpack", "json", "raw"):
        assert new(codec=codec, allow_pickle=True).allow_pickle is False


def test_a_planted_pickle_is_loaded_where_pickles_are(tmp_path: Path) -> None:
    # That the tests below would notice it.
    with damaged("pickle") as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        assert d[5] is None
    assert (tmp_path / "planted").exists()


@pytest.mark.parametrize("into", [b"", b"\x91", b"\x81\x01"], ids=["itself", "a list", "a dict"])
@pytest.mark.parametrize("options", [{"mode": 0o666}, {"allow_pickle": False}], ids=repr)
def test_a_planted_pickle_is_not_loaded_by_any_operation_and_stays(
    tmp_path: Path, options: Any, into: bytes
) -> None:
    with damaged("pickle", **options) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"), into)
        before = raw.copy()
        for name, read in reads(d, 5).items():
            with pytest.raises(PickleRefusedError, match="refused to load a pickle"):
                pytest.fail(f"{name} gave {read()!r}")
            assert not (tmp_path / "planted").exists(), name
            assert raw.copy() == before, name
        del d[5]
        assert not d
    assert not (tmp_path / "planted").exists()


def test_a_planted_pickle_is_shown_as_the_error_of_loading_it(tmp_path: Path) -> None:
    with damaged("pickle", mode=0o666) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        assert "{5: <PickleRefusedError>}" in repr(d)
    assert not (tmp_path / "planted").exists()


def test_a_planted_pickle_is_not_removed_by_who_would_have_got_it(tmp_path: Path) -> None:
    with damaged("pickle", mode=0o666) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        before = raw.copy()
        for name, take in takes(d, 5).items():
            with pytest.raises(PickleRefusedError, match="refused to load a pickle"):
                pytest.fail(f"{name} gave {take()!r}")
            assert not (tmp_path / "planted").exists(), name
            assert raw.copy() == before, name


@pytest.mark.parametrize("codec", ["msgpack", "json", "raw"])
def test_a_planted_pickle_is_not_loaded_with_another_codec(tmp_path: Path, codec: str) -> None:
    with damaged(codec, allow_pickle=True) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        key = b"\x05" if codec == "raw" else 5
        for read in [*reads(d, key).values(), *takes(d, key).values()]:
            with contextlib.suppress(CodecError, PickleRefusedError, TypeError, KeyError):
                read()
    assert not (tmp_path / "planted").exists()


def test_a_planted_pickle_is_not_loaded_as_a_key(tmp_path: Path) -> None:
    with damaged("pickle") as (d, raw):
        key = msgpack.packb(msgpack.ExtType(80, pickle.dumps(Planted(tmp_path / "planted"))))
        raw[key] = b"\x01"
        raw[b"\x91" + key] = b"\x01"
        for look in (lambda: list(d), lambda: d.copy(), lambda: d.popitem()):
            with pytest.raises(CodecError):
                look()
        assert repr(d).count("<CodecError>") == 2
    assert not (tmp_path / "planted").exists()


def test_a_damaged_pickle_raises_what_pickle_raises(name: str) -> None:
    with SharedDict({"key": {1, 2}}, name=name, capacity=10) as d:
        with SharedDict.open(name, codec="raw") as raw:
            raw[b"\xa3key"] = msgpack.packb(msgpack.ExtType(80, pickle.dumps({1, 2})[:-1]))
        with pytest.raises((pickle.UnpicklingError, EOFError, CodecError)):
            d["key"]


# The tests of other users' tables are for those who may give a table away.
if os.geteuid() == 0:
    STRANGER = 65534

    @pytest.fixture
    def strangers(name: str, tmp_path: Path) -> str:
        """A table that belongs to somebody else, with a pickle in it."""
        with SharedDict.create(name, capacity=10) as d:
            d["plain"] = 1
            with SharedDict.open(name, codec="raw") as raw:
                plant(raw, msgpack.packb("pickle"), Planted(tmp_path / "planted"))
        os.chown(f"/dev/shm/shmtable.{name}", STRANGER, STRANGER)
        return name

    def test_a_table_of_another_user_is_not_opened(strangers: str) -> None:
        for attach in (
            lambda: SharedDict(name=strangers),
            lambda: SharedDict.open(strangers),
            lambda: SharedDict.open(strangers, read_only=True),
            lambda: SharedDict.open(strangers, codec="raw"),
            lambda: SharedDict.open(strangers, trust=[]),
            lambda: SharedDict.open(strangers, trust=[12345]),
        ):
            with pytest.raises(WrongOwnerError, match=f"belongs to user {STRANGER}") as caught:
                attach()
            assert isinstance(caught.value, PermissionError)

    @pytest.mark.parametrize("trust", ["anyone", [STRANGER], [1, STRANGER]], ids=repr)
    def test_a_trusted_users_table_is_opened_and_its_pickles_not_loaded(
        strangers: str, tmp_path: Path, trust: Any
    ) -> None:
        for options in ({}, {"read_only": True}):
            with SharedDict.open(strangers, trust=trust, **options) as d:
                assert d["plain"] == 1
                assert d.allow_pickle is False
                with pytest.raises(PickleRefusedError):
                    d["pickle"]
                if not options:
                    with pytest.raises(PickleRefusedError):
                        d["new"] = {1}
                with pickle.loads(pickle.dumps(d)) as again, pytest.raises(PickleRefusedError):
                    again["pickle"]
        assert not (tmp_path / "planted").exists()

    def test_a_trusted_users_pickles_are_loaded_if_asked_for(
        strangers: str, tmp_path: Path
    ) -> None:
        with SharedDict.open(strangers, trust=[STRANGER], allow_pickle=True) as d:
            assert d["pickle"] is None
        assert (tmp_path / "planted").exists()


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
