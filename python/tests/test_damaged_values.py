"""Is a damaged key or value an error that says so, and is it kept?"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtable import CodecError, MissingKeyError, NotANumberError, PickleRefusedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
from damage import damaged, reads, takes

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


def exactly(a: Any, b: Any) -> bool:
    return bool(a == b) and repr(a) == repr(b)


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
