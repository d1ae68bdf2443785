"""Do objects that hold large buffers come back as pickle makes them, with one copy each way?"""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy
import pytest

from shmtable import CodecError, PickleRefusedError, SharedDict, ValueTypeError

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]
ROOM = {"capacity": 10, "value_space": 32 << 20}
BUFFERS = 66
PICKLE = 80


@dataclass
class Measured:
    name: str
    values: Any
    weights: Any = None


class Handing:
    """Pickles as a buffer, whatever it is of."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Handing, (pickle.PickleBuffer(self.buffer),)


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


LARGE = 5000.0
VALUES: dict[str, Callable[[], Any]] = {
    "an object of arrays": lambda: Measured("a", numpy.arange(LARGE), numpy.ones((700, 3), "f4")),
    "a list of arrays": lambda: [numpy.arange(LARGE), numpy.arange(LARGE), 1, "text"],
    "a dict of arrays": lambda: {"a": numpy.arange(LARGE), "b": numpy.arange(3)},
    "a tuple": lambda: (1, numpy.arange(LARGE)),
    "of the other order": lambda: (numpy.asfortranarray(numpy.arange(LARGE).reshape(50, 100)),),
    "of a structured dtype": lambda: numpy.zeros(2000, [("a", "i4"), ("b", "f8")]),
    "read-only": lambda: (read_only(numpy.arange(LARGE)),),
    "both kinds": lambda: (read_only(numpy.arange(LARGE)), numpy.arange(LARGE)),
    "odd lengths": lambda: [numpy.arange(n, dtype="u2").astype("u1") for n in (4097, 5003, 4099, 6001)],
    "small and large": lambda: (numpy.arange(10), numpy.arange(LARGE), numpy.arange(0)),
    "many buffers": lambda: [numpy.full(600, float(n)) for n in range(1200)],
    "bytes": lambda: Handing(b"x" * 5001),
    "a bytearray": lambda: Handing(bytearray(b"x" * 5001)),
    "a part of bytes": lambda: Handing(memoryview(b"x" * 9000)[7:8000]),
    "one buffer twice": lambda: [Handing(b"y" * 5000)] * 2,
    "a large pickle beside it": lambda: ("x" * 200_000, numpy.arange(LARGE)),
    "long enough for other threads": lambda: (numpy.arange(200_000.0), numpy.arange(LARGE)),
}


def described(value: Any) -> Any:
    """All that is to be the same, of the parts too."""
    if isinstance(value, numpy.ndarray):
        layout = value.flags.c_contiguous, value.flags.f_contiguous, value.flags.writeable
        return type(value).__name__, value.dtype.descr, value.shape, layout, value.tobytes()
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [described(part) for part in value]
    if isinstance(value, dict):
        return {key: described(part) for key, part in value.items()}
    if isinstance(value, Handing):
        return type(value.buffer).__name__, bytes(value.buffer)
    if isinstance(value, Measured):
        return value.name, described(value.values), described(value.weights)
    return value


def stored(d: ANYTHING, key: bytes) -> Any:
    with ANYTHING.open(d.name, codec="raw") as raw:
        return msgpack.unpackb(raw[key])


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_values_come_back_as_pickle_makes_them(new: NEW, make: Callable[[], Any]) -> None:
    d = new(**ROOM)
    value = make()
    expected = described(pickle.loads(pickle.dumps(value, 5)))
    d[1] = value
    assert stored(d, b"\x01").code == BUFFERS
    assert described(d[1]) == expected
    # In one piece too.
    assert described(d.get_many([1])[0]) == expected
    assert described(dict(d.items())[1]) == expected
    assert described(d.setdefault(2, value)) == expected
    d.set_many({3: value})
    assert stored(d, b"\x01") == stored(d, b"\x02") == stored(d, b"\x03")
    assert described(d.pop(3)) == expected
    # A copy that was read is what is stored.
    assert d.compare_exchange(1, d[1], "new")
    assert described(d.update_value(2, lambda found: found)) == expected


def test_loaded_arrays_are_changed_without_changing_the_table(new: NEW) -> None:
    d = new(**ROOM)
    d["k"] = Measured("a", numpy.zeros(1000), numpy.ones(1000))
    one, other = d["k"], d["k"]
    one.values += 1
    one.weights[:] = 5
    assert not other.values.any()
    assert (d["k"].weights == 1).all()
    assert d["k"].values.flags.writeable


@pytest.mark.parametrize(
    "value",
    [(numpy.arange(511.0),), Measured("a", numpy.arange(9)), (b"x" * 5000,), {1}, ("x" * 9000,)],
    ids=["a short array", "a record", "bytes", "a set", "text"],
)
def test_values_without_large_buffers_are_pickles_alone(new: NEW, value: Any) -> None:
    d = new(**ROOM)
    d[1] = value
    assert stored(d, b"\x01").code == PICKLE
    assert described(d[1]) == described(value)


def test_an_array_with_gaps_is_copied_into_the_pickle(new: NEW) -> None:
    d = new(**ROOM)
    array = numpy.arange(20_000.0)[::2]
    d[1] = (array,)
    assert (d[1][0] == array).all()


def test_a_buffer_with_gaps_is_refused_as_pickle_does(new: NEW) -> None:
    d = new(**ROOM)
    gaps = Handing(memoryview(b"x" * 20_000)[::2])
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(gaps, 5)
    with pytest.raises(ValueTypeError, match="non-contiguous"):
        d[1] = gaps


class Failing:
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ValueError("not me")


def test_a_value_that_fails_after_a_buffer_leaves_nothing_behind(new: NEW) -> None:
    d = new(**ROOM)
    for _ in range(3):
        with pytest.raises(ValueTypeError, match="not me"):
            d[1] = (numpy.arange(LARGE), Failing())
        assert 1 not in d
        d[2] = (numpy.arange(9),)
        assert stored(d, b"\x02").code == PICKLE


class Nested:
    """Stores another value while it is pickled."""

    def __init__(self, d: ANYTHING | None) -> None:
        self.d = d

    def __reduce_ex__(self, protocol: Any) -> Any:
        assert self.d is not None
        self.d["inner"] = (numpy.full(1000, 7.0), numpy.full(2000, 8.0))
        return Nested, (None,)


def test_a_value_may_be_stored_while_another_is_pickled(new: NEW) -> None:
    d = new(**ROOM)
    d["outer"] = (numpy.full(1500, 1.0), Nested(d), numpy.full(2500, 2.0))
    first, _, last = d["outer"]
    assert described([first, last]) == described([numpy.full(1500, 1.0), numpy.full(2500, 2.0)])
    assert described(d["inner"]) == described((numpy.full(1000, 7.0), numpy.full(2000, 8.0)))


def test_the_bytes_are_those_of_the_documents(new: NEW) -> None:
    d = new(**ROOM)
    d["key"] = (read_only(numpy.arange(600, dtype="u8")), numpy.full(4099, 7, "u1"))
    with ANYTHING.open(d.name, codec="raw") as raw:
        value = raw[b"\xa3key"]
    marker, length, code = struct.unpack(">BIb", value[:6])
    assert (marker, code, length) == (0xC9, BUFFERS, len(value) - 6)
    unpacker = msgpack.Unpacker()
    unpacker.feed(value[6:])
    pickle_length, buffers = unpacker.unpack()
    assert buffers == [[4800, False], [4099, True]]
    at = 6 + unpacker.tell()
    pickled = value[at : at + pickle_length]
    at += pickle_length
    parts = []
    for length, _ in buffers:
        padding = -at % 8
        assert value[at : at + padding] == bytes(padding)
        at += padding
        parts.append(value[at : at + length])
        at += length
    assert at == len(value)
    assert described(pickle.loads(pickled, buffers=map(bytearray, parts))) == described(d["key"])


def test_tables_without_pickles_neither_store_nor_load_them(name: str) -> None:
    value = (numpy.arange(LARGE),)
    with SharedDict.create(name, **ROOM) as d:
        d["k"] = value
        with SharedDict.open(name, allow_pickle=False) as careful:
            for read in (lambda: careful["k"], lambda: careful.get_many(["k"])):
                with pytest.raises(PickleRefusedError, match="allow_pickle=True"):
                    read()
            with pytest.raises(PickleRefusedError):
                careful["other"] = value
            with pytest.raises(PickleRefusedError) as raised:
                careful["k"]
            assert "the value of the key 'k'" in str(raised.value.__notes__)


@pytest.mark.parametrize("codec", ["msgpack", "json", "raw"])
def test_other_codecs_refuse_them(new: NEW, codec: Any) -> None:
    d = new(codec=codec, **ROOM)
    key: Any = b"k" if codec == "raw" else "k"
    with pytest.raises(ValueTypeError):
        d[key] = Measured("a", numpy.arange(LARGE))
    assert len(d) == 0


def test_a_file_with_them_that_others_may_write_is_refused(new: NEW, name: str, tmp_path: Path) -> None:
    path = tmp_path / "saved.dump"
    value = (numpy.arange(LARGE),)
    new({"k": value}, **ROOM).save(path)
    with ANYTHING.load(path) as d:
        assert described(d["k"]) == described(value)
    path.chmod(0o666)
    with pytest.raises(PickleRefusedError):
        ANYTHING.load(path, name)


def test_damage_is_an_error_that_names_the_key(new: NEW) -> None:
    d = new(**ROOM)
    d[5] = (numpy.arange(600.0), "text", read_only(numpy.arange(700.0)))
    with ANYTHING.open(d.name, codec="raw") as raw:
        whole = raw[b"\x05"]
        for damaged in (whole[:-1], whole + b"\0", whole[:1] + b"\xff" + whole[2:]):
            raw[b"\x05"] = damaged
            with pytest.raises(CodecError, match="cannot decode a value"):
                _ = d[5]
        # Every bit of what says how long the parts are.
        head = 6 + len(msgpack.packb([200, [[4800, True], [5600, False]]]))
        for bit in range(8 * 6, 8 * head):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            raw[b"\x05"] = bytes(changed)
            try:
                found = d[5]
            except (CodecError, pickle.UnpicklingError, EOFError) as error:
                assert "the value of the key 5" in str(error.__notes__)
            else:
                # The kinds of its buffers alone may differ.
                assert [part.tolist() for part in found[::2]] == [
                    numpy.arange(600.0).tolist(),
                    numpy.arange(700.0).tolist(),
                ]
        raw[b"\x05"] = msgpack.packb(msgpack.ExtType(BUFFERS, b""))
        with pytest.raises(CodecError, match="a pickle with buffers: its head"):
            _ = d[5]
        raw[b"\x05"] = msgpack.packb([msgpack.ExtType(BUFFERS, whole[6:])])
        assert d[5][0][1] == "text"


def test_a_value_that_is_replaced_while_it_is_read_is_one_or_the_other(new: NEW) -> None:
    d = new(**ROOM)
    # Most have the same head; some are long enough for other threads to run.
    values: list[Any] = [(numpy.full(1000, float(n)), n, numpy.full(1000, -n)) for n in range(100, 104)]
    values += [(numpy.full(20_000, n), n, numpy.full(3, n)) for n in range(200, 204)]
    values += [b"f" * 8000, None]
    d["k"] = values[0]
    with workers.rewriting(d, "k", values, str) as reads:
        for found in reads:
            if not isinstance(found, tuple):
                assert found in (b"f" * 8000, None)
                continue
            first, number, last = found
            assert (first == number).all()
            assert (abs(last) == number).all()


def test_a_program_without_numpy_stores_and_loads_them(name: str) -> None:
    program = """
import pickle, sys
from shmtable import SharedDict
class Handing:
    def __init__(self, buffer): self.buffer = buffer
    def __reduce_ex__(self, protocol): return Handing, (pickle.PickleBuffer(self.buffer),)
with SharedDict.open(sys.argv[1]) as d:
    d["here"] = Handing(bytearray(b"x" * 5000))
    assert d["here"].buffer == b"x" * 5000
    assert d["there"] == (bytearray(b"y" * 5000), b"z" * 5000)
    assert "numpy" not in sys.modules
"""
    with SharedDict.create(name, **ROOM) as d:
        # What loading it gives is plain: the buffers themselves.
        d["there"] = (Itself(bytearray(b"y" * 5000)), Itself(b"z" * 5000))
        subprocess.run([sys.executable, "-c", program, name], check=True, timeout=120)
        assert stored(d, b"\xa5there").code == BUFFERS
        assert stored(d, b"\xa4here").code == PICKLE


class Itself:
    """Is loaded as its buffer."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self.buffer), (pickle.PickleBuffer(self.buffer),)
