"""Do numpy's arrays come back as they were, in bytes that other languages read?"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import numpy
import pytest

from shmtable import CodecError, SharedDict, ValueTypeError

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]
ROOM = {"capacity": 10, "value_space": 64 << 20}
CODECS = ["pickle", "msgpack"]

INTEGERS = [f"{order}{kind}{size}" for order in "<>" for kind in "iu" for size in (2, 4, 8)]
DTYPES = ["|b1", "|i1", "|u1", *INTEGERS, "<f2", "<f4", "<f8", ">f8", "<c8", "<c16"]
TIMES = ["<M8[ns]", "<M8[D]", "<m8[25us]", "<M8", ">m8[s]"]
TEXTS = ["|S1", "|S7", "<U1", "<U3", ">U3"]


def filled(dtype: str, shape: tuple[int, ...] = (3, 4)) -> Any:
    """An array of items that all differ as far as the dtype lets them."""
    count = int(numpy.prod(shape))
    kind = numpy.dtype(dtype).kind
    if kind in "mM":
        items = numpy.arange(count, dtype="<i8").astype(numpy.dtype(dtype).newbyteorder("=").str)
        return items.astype(dtype).reshape(shape)
    return numpy.arange(count).astype(dtype).reshape(shape)


BOTH = numpy.arange(24, dtype="<f8").reshape(2, 3, 4)
ARRAYS: dict[str, Any] = {
    **{dtype: filled(dtype) for dtype in [*DTYPES, *TIMES, *TEXTS]},
    "no dimension": numpy.array(5.5),
    "no items": numpy.zeros((0, 3)),
    "no items, many dimensions": numpy.zeros((2, 0, 3), "<i4"),
    "32 dimensions": numpy.ones((1,) * 32),
    "Fortran order": numpy.asfortranarray(BOTH),
    "transposed": BOTH.T,
    "neither order": BOTH.transpose(1, 0, 2),
    "strided": BOTH[:, ::2, ::-1],
    "broadcast": numpy.broadcast_to(numpy.arange(3), (4, 3)),
    "read-only": numpy.frombuffer(b"12345678", "<u4"),
    "special floats": numpy.array([numpy.nan, -0.0, numpy.inf]),
    "not a time": numpy.array(["NaT", "2024-02-29"], "<M8[s]"),
    **{f"{items} bytes": numpy.arange(items).astype("u1") for items in (4000, 4096, 65536, 1 << 20)},
    "a large one in Fortran order": numpy.asfortranarray(numpy.arange(9e4).reshape(300, 300)),
}
# What the extension doesn't hold.
OTHERS: dict[str, Any] = {
    "object": numpy.array([1, "a", None], dtype=object),
    "structured": numpy.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")]),
    "void": numpy.array([b"abc"], dtype="V3"),
    "long double": numpy.ones(2, numpy.longdouble),
    "metadata": numpy.ones(2, numpy.dtype("<f8", metadata={"unit": "m"})),
    "masked": numpy.ma.masked_array([1, 2], mask=[True, False]),  # type: ignore[no-untyped-call]
    "matrix": numpy.ones((2, 2)).view(numpy.matrix),
}


def assert_same(found: Any, array: Any) -> None:
    assert type(found) is numpy.ndarray
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.dtype.str == array.dtype.str
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    assert found.flags.f_contiguous if is_fortran else found.flags.c_contiguous


def raw(name: str, key: bytes = b"\xa1a") -> bytes:
    with SharedDict.open(name, codec="raw") as d:
        return bytes(d[key])


def read(stored: bytes) -> tuple[str, list[int], str, bytes]:
    """The parts of an array, by docs/python/stored.md alone."""
    extension = msgpack.unpackb(stored)
    assert extension.code == 65
    unpacker = msgpack.Unpacker()
    unpacker.feed(extension.data)
    dtype, shape, order = unpacker.unpack()
    size = int("".join(filter(str.isdigit, dtype.split("[")[0]))) * (4 if "U" in dtype else 1)
    for length in shape:
        size *= length
    begin = len(extension.data) - size
    padding = extension.data[unpacker.tell() : begin]
    assert begin >= unpacker.tell()
    assert padding == b"\0" * len(padding)
    return dtype, shape, order, extension.data[begin:]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_come_back_as_they_were(new: NEW, array: Any, codec: str) -> None:
    d = new(codec=codec, **ROOM)
    d["a"] = array
    assert_same(d["a"], array)
    found = [d.get_many(["a"])[0], *d.values(), d.copy()["a"], d.snapshot()["a"], d.wait("a", 0)]
    for each in [*found, d.pop("a")]:
        assert_same(each, array)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_are_stored_as_documented(name: str, array: Any, codec: Any) -> None:
    with SharedDict.create(name, codec=codec, **ROOM) as d:
        d["a"] = array
        stored = raw(name)
    dtype, shape, order, items = read(stored)
    assert (dtype, tuple(shape)) == (array.dtype.str, array.shape)
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    assert order == ("F" if is_fortran else "C")
    assert items == array.tobytes(order)
    assert stored[:1] == b"\xc9"
    assert (len(stored) - len(items)) % 8 == 0


def test_the_bytes_of_one_array(name: str) -> None:
    with SharedDict.create(name, **ROOM) as d:
        d["a"] = numpy.array([1.0, 2.0])
        head = bytes.fromhex("c90000001a 41 93 a33c6638 9102 a143 00")
        assert raw(name) == head + bytes.fromhex("000000000000f03f 0000000000000040")


def test_arrays_of_other_writers_are_read(new: NEW, name: str) -> None:
    # In the shortest form, and without zeros.
    content = b"\x93\xa3<u2\x91\x02\xa1C\x01\x00\x02\x00"
    with SharedDict.create(name, codec="msgpack", **ROOM) as d:
        with SharedDict.open(name, codec="raw") as writer:
            writer[b"\xa1a"] = msgpack.packb(msgpack.ExtType(65, content))
        assert_same(d["a"], numpy.array([1, 2], "<u2"))


def test_the_msgpack_codec_takes_arrays_in_lists_and_dicts(new: NEW) -> None:
    d = new(codec="msgpack", **ROOM)
    large = numpy.arange(100_000.0)
    d["a"] = {"one": ARRAYS["<i4"], "more": [large, (ARRAYS["Fortran order"], 1)]}
    found = d["a"]
    assert_same(found["one"], ARRAYS["<i4"])
    assert_same(found["more"][0], large)
    assert_same(found["more"][1][0], ARRAYS["Fortran order"])


def test_the_default_codec_pickles_what_holds_arrays(new: NEW) -> None:
    d = new(**ROOM)
    array = numpy.arange(3)
    d["a"] = [array, array]
    one, other = d["a"]
    assert one is other
    assert_same(one, array)


@pytest.mark.parametrize("array", OTHERS.values(), ids=OTHERS)
def test_other_arrays_are_pickled_or_refused(new: NEW, array: Any) -> None:
    d = new(**ROOM)
    d["a"] = array
    found = d["a"]
    assert type(found) is type(array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert bool(numpy.all(found == array))
    packed = new(codec="msgpack", **ROOM)
    with pytest.raises(ValueTypeError, match="cannot store a value of type numpy.* as MessagePack"):
        packed["a"] = array
    assert packed == {}


def test_a_refusal_says_the_dtype(new: NEW) -> None:
    d = new(codec="msgpack")
    with pytest.raises(ValueTypeError, match="numpy.ndarray as MessagePack: its dtype is object; .*"):
        d["a"] = OTHERS["object"]
    with pytest.raises(ValueTypeError, match=r"list as MessagePack: it holds a numpy.ndarray whose dtype"):
        d["a"] = [OTHERS["object"]]


def test_arrays_need_no_pickles(name: str) -> None:
    with SharedDict.create(name, allow_pickle=False, **ROOM) as d:
        d["a"] = BOTH
        assert_same(d["a"], BOTH)


def test_arrays_that_were_pickled_are_read(name: str) -> None:
    with SharedDict.create(name, **ROOM) as d:
        for array in [*ARRAYS.values(), OTHERS["object"]]:
            for protocol in (4, 5):
                pickled = pickle.dumps(array, protocol)
                with SharedDict.open(name, codec="raw") as writer:
                    writer[b"\xa1a"] = msgpack.packb(msgpack.ExtType(80, pickled))
                found, expected = d["a"], pickle.loads(pickled)
                assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                assert found.tolist() == expected.tolist() or numpy.isnan(expected).any()


def test_an_array_is_a_copy_that_may_be_changed(new: NEW) -> None:
    d = new(**ROOM)
    for array in (numpy.zeros(3), numpy.zeros(100_000)):
        d["a"] = array
        array[0] = 1
        found = d["a"]
        found[1] = 2
        assert (d["a"] == 0).all()
        found += 1
        assert found.sum() == len(found) + 2


def test_arrays_are_equal_by_their_items(new: NEW) -> None:
    d = new(codec="msgpack", **ROOM)
    d["a"] = BOTH
    assert not d.compare_exchange("a", BOTH + 1, 0)
    assert d.compare_exchange("a", numpy.asfortranarray(BOTH), 0)
    assert d["a"] == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc0",
        b"\x92\xa3<f8\x90",
        b"\x93\xa3<f8\x90\xa1C",
        b"\x93\xa3<f8\x90\xa1C" + b"\0" * 16,
        b"\x93\xa3<f8\x90\xa1X" + b"\0" * 8,
        b"\x93\xa3<f8\x91\xff\xa1C",
        b"\x93\xa3<f8\x92\xcf" + b"\xff" * 8 + b"\x02\xa1C",
        b"\x93\xa3<f8\x92\x00\xcf" + b"\xff" * 8 + b"\xa1C",
        b"\x93\xa1O\x91\x01\xa1C" + b"\0" * 8,
        b"\x93\xa3|O8\x91\x01\xa1C" + b"\0" * 8,
        b"\x93\xa3<V8\x91\x01\xa1C" + b"\0" * 8,
        b"\x93\xa3<f3\x91\x01\xa1C" + b"\0" * 3,
        b"\x93\xa6<f8,<O\x91\x01\xa1C" + b"\0" * 8,
        b"\x93\xa7<M8[xx]\x91\x01\xa1C" + b"\0" * 8,
        b"\x93\xa3<f8\xdc\x00\x64" + b"\x01" * 100 + b"\xa1C" + b"\0" * 8,
        b"\x93\x01\x90\xa1C",
        b"\xc9\x00\x00\x00\x00\x41",
    ],
)
def test_damaged_arrays_are_errors(name: str, content: bytes) -> None:
    with SharedDict.create(name, codec="msgpack", **ROOM) as d:
        with SharedDict.open(name, codec="raw") as writer:
            for room in (b"", b"\0" * 5000):
                writer[b"\xa1a"] = msgpack.packb(msgpack.ExtType(65, content + room))
                with pytest.raises(CodecError) as raised:
                    d["a"]
                assert "the value of the key 'a'" in str(raised.value.__notes__)


WITHOUT_NUMPY = """
import sys
from shmtable import SharedDict

with SharedDict.open(sys.argv[1]) as d:
    for value in (1, "a", [1], {"a": 1}, (1,), {1}, None, 1.5, b"a", Ellipsis):
        d["other"] = value
        assert d["other"] == value
    assert "numpy" not in sys.modules, "storing imports numpy"
    assert d["small"].sum() == 3
    assert "numpy" in sys.modules
    assert d["large"].sum() == 100_000
"""

BLOCKED = """
import sys
sys.modules["numpy"] = None
from shmtable import SharedDict

with SharedDict.open(sys.argv[1]) as d:
    d["other"] = {1}
    for key in ("small", "large"):
        try:
            d[key]
        except ModuleNotFoundError as error:
            notes = getattr(error, "__notes__", ["the value of the key " + repr(key)])
            print(error, *notes)
"""


@pytest.fixture
def arrays(name: str) -> Iterator[str]:
    """The name of a table that holds arrays, as long as the test runs."""
    with SharedDict.create(name, **ROOM) as d:
        d["small"] = numpy.arange(3)
        d["large"] = numpy.ones(100_000)
        yield name


def test_numpy_is_imported_when_an_array_is_read(arrays: str) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_NUMPY, arrays], check=True, timeout=60)


def test_a_program_without_numpy_is_told_the_key(arrays: str) -> None:
    command = [sys.executable, "-c", BLOCKED, arrays]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    for line, key in zip(lines.stdout.splitlines(), ("small", "large"), strict=True):
        assert "an array of numpy's, which cannot be imported: " in line
        assert f"the value of the key '{key}'" in line
