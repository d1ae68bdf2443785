"""Do Python and Rust read and write one table? The Rust half is `examples/python_interop.rs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from shmtable import CodecError, CodecMismatchError, PickleRefusedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]

# What the Rust program stores.
FROM_RUST = {
    "text": "grün",
    "empty": "",
    "negative": -7,
    "above 32 bits": 2**32 + 1,
    "least": -(2**63),
    "most": 2**64 - 1,
    "float": -0.25,
    "whole float": 3.0,
    "bytes": b"\0\xff",
    "truth": True,
    "nothing": None,
    "list": [1, "two", []],
    "map": {"one": 1, "nothing": None},
    -129: "under an integer",
    2**40: "under a long integer",
    2**64 - 1: "under the longest integer",
    1.5: "under a float",
    b"\x80key": "under bytes",
    None: "under nothing",
    ("a", (300,)): "under a tuple",
}

# What Python stores, and what Rust prints of it.
FROM_PYTHON: list[tuple[Any, Any, str]] = [
    ("str", "grün", 'Text("str"): Text("grün")'),
    ("long str", "x" * 300, f'Text("long str"): Text("{"x" * 300}")'),
    ("int", 1, 'Text("int"): Integer(1)'),
    ("negative", -(2**40), f'Text("negative"): Integer({-(2**40)})'),
    ("most", 2**64 - 1, f'Text("most"): Large({2**64 - 1})'),
    ("float", 1.5, 'Text("float"): Float(1.5)'),
    ("whole float", 2.0, 'Text("whole float"): Float(2.0)'),
    ("bytes", b"\0\xff", 'Text("bytes"): Bytes("\\x00\\xff")'),
    ("bytes of text", b"text", 'Text("bytes of text"): Bytes("text")'),
    ("true", True, 'Text("true"): Truth(true)'),
    ("false", False, 'Text("false"): Truth(false)'),
    ("none", None, 'Text("none"): Nothing(())'),
    ("list", [1, [None, "a"]], 'Text("list"): List([Integer(1), List([Nothing(()), Text("a")])])'),
    ("map", {"b": 1, "a": {}}, 'Text("map"): Map({"a": Map({}), "b": Integer(1)})'),
    (7, "k", 'Integer(7): Text("k")'),
    (-(2**63), "k", f'Integer({-(2**63)}): Text("k")'),
    (2**64 - 1, "k", f'Large({2**64 - 1}): Text("k")'),
    (2.5, "k", 'Float(2.5): Text("k")'),
    (8.0, "k", 'Integer(8): Text("k")'),
    (b"\xfe", "k", 'Bytes("\\xfe"): Text("k")'),
    (None, "k", 'Nothing(()): Text("k")'),
    (("a", (1, b"b")), "k", 'List([Text("a"), List([Integer(1), Bytes("b")])]): Text("k")'),
    ((), "k", 'List([]): Text("k")'),
]


@pytest.fixture(scope="module")
def rust() -> str:
    """The path of the Rust program."""
    return workers.built("python_interop", "--example", "python_interop", "--features", "serde")


def run(*command: str) -> str:
    """The output of a program that ends well and prints no error."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=workers.GUARD)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


def fails(*command: str) -> str:
    """The errors of a program that ends with 1."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=workers.GUARD)
    assert (ended.returncode, ended.stdout) == (1, ""), ended
    return ended.stderr


def exactly(value: Any) -> Any:
    """A value with the types of all its parts, so that 1, 1.0 and True differ."""
    if isinstance(value, list):
        return list, [exactly(item) for item in value]
    if isinstance(value, dict):
        return dict, {key: exactly(item) for key, item in value.items()}
    return type(value), value


def assert_from_rust(d: ANYTHING) -> None:
    for key, value in FROM_RUST.items():
        assert exactly(d[key]) == exactly(value), key
    found = d.copy()
    assert exactly({key: found[key] for key in FROM_RUST}) == exactly(FROM_RUST)
    types = {type(key): key for key in FROM_RUST}
    assert {type(key) for key in found} >= set(types)


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
def test_rust_reads_what_python_stores(name: str, rust: str, codec: Any) -> None:
    with SharedDict.create(name, capacity=1000, codec=codec) as d:
        for key, value, _ in FROM_PYTHON:
            d[key] = value
        lines = run(rust, "show", name).splitlines()
        assert lines == sorted(line for _, _, line in FROM_PYTHON)


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
def test_rust_finds_keys_that_are_text(name: str, rust: str, codec: Any) -> None:
    with SharedDict.create(name, capacity=1000, codec=codec) as d:
        d.update({"": 1, "grün": 2.5, "x" * 40: [b"b"]})
        assert run(rust, "get", name, "") == "Integer(1)\n"
        assert run(rust, "get", name, "grün") == "Float(2.5)\n"
        assert run(rust, "get", name, "x" * 40) == 'List([Bytes("b")])\n'
        assert run(rust, "get", name, "absent") == "nothing\n"


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
def test_python_reads_what_rust_stores(name: str, rust: str, codec: Any) -> None:
    with SharedDict.create(name, capacity=1000, codec=codec) as d:
        run(rust, "fill", name)
        assert_from_rust(d)
        assert len(d) == len(FROM_RUST)


def test_python_and_rust_write_one_table(name: str, rust: str) -> None:
    with SharedDict.create(name, capacity=1000) as d:
        for key, value, _ in FROM_PYTHON:
            d["python", key] = value
        run(rust, "fill", name)
        assert_from_rust(d)
        for key, value, _ in FROM_PYTHON:
            assert exactly(d["python", key]) == exactly(value)
        # Each replaces what the other stored: it is one key, and not two.
        for key in FROM_RUST:
            d[key] = "by Python"
        assert len(d) == len(FROM_RUST) + len(FROM_PYTHON)
        assert run(rust, "get", name, "text") == 'Text("by Python")\n'
        run(rust, "fill", name)
        assert len(d) == len(FROM_RUST) + len(FROM_PYTHON)
        assert_from_rust(d)


def test_python_opens_a_table_that_rust_created(name: str, rust: str) -> None:
    run(rust, "create", name)
    with SharedDict.open(name) as d:
        assert d.codec == "msgpack"
        assert not d.anonymous
        assert_from_rust(d)
        d["more"] = (1, 2)
        assert d["more"] == [1, 2]
        assert run(rust, "get", name, "more") == "List([Integer(1), Integer(2)])\n"
    with pytest.raises(CodecMismatchError):
        SharedDict.open(name, codec="pickle")
    with SharedDict.open(name, codec="raw") as d:
        assert d[b"\xa5truth"] == b"\xc3"


def test_what_python_had_to_pickle_is_an_error_in_rust_alone(name: str, rust: str) -> None:
    with SharedDict.create(name, capacity=1000) as d:
        d.update({"plain": 1, "pickled": (1, 2), "huge": 2**64})
        assert run(rust, "get", name, "plain") == "Integer(1)\n"
        assert "messagepack" in fails(rust, "get", name, "pickled")
        assert "messagepack" in fails(rust, "get", name, "huge")
        assert d["pickled"] == (1, 2)
        assert d["huge"] == 2**64


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (3, 2, 1)])
def test_rust_reads_and_stores_numpy_arrays(
    name: str, rust: str, codec: Any, shape: tuple[int, ...]
) -> None:
    array = numpy.arange(6.0).reshape(shape)
    with SharedDict.create(name, capacity=1000, codec=codec) as d:
        for order in "CF":
            # In the order in which the items are in memory.
            d["a"] = numpy.array(array, order=order)
            shown = "F" if order == "F" and len(shape) > 1 else "C"
            items = array.ravel(order).tolist()
            assert run(rust, "array", name, "a") == f"<f8 {list(shape)} {shown} {items}\n"
            half = d["half of a"]
            assert half.dtype == array.dtype
            assert half.tolist() == (array / 2).tolist()


@pytest.fixture(scope="module")
def arrays() -> str:
    """The path of the Rust program for arrays."""
    return workers.built("numpy_arrays", "--example", "numpy_arrays", "--features", "serde")


@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
def test_rust_computes_with_numpy_arrays(name: str, arrays: str, codec: Any) -> None:
    array = numpy.arange(6.0).reshape(2, 3)
    with SharedDict.create(name, capacity=1000, codec=codec) as d:
        for order in "CF":
            d["a"] = numpy.array(array, order=order)
            assert run(arrays, "means", name, "a") == "[2, 3]: [1.5, 2.5, 3.5]\n"
            run(arrays, "scale", name, "a", "0.5")
            found = d["a"]
            assert (found == array / 2).all()
            assert found.flags[f"{order}_CONTIGUOUS"]
        # As Python stores them, and long ones too.
        run(arrays, "scale", name, "a", "2")
        with SharedDict.open(name, codec="raw") as raw:
            stored = raw[b"\xa1a"]
            d["a"] = numpy.array(array, order="F")
            assert raw[b"\xa1a"] == stored
        d["a"] = numpy.ones((40, 50, 2))
        run(arrays, "scale", name, "a", "3")
        assert (d["a"] == numpy.full((40, 50, 2), 3.0)).all()
        d["a"] = numpy.array(7.0)
        run(arrays, "scale", name, "a", "2")
        assert d["a"].shape == () and d["a"] == 14.0


def test_python_reads_arrays_that_rust_made(name: str, arrays: str) -> None:
    with SharedDict.create(name, capacity=1000) as d:
        run(arrays, "store", name, "a")
        assert d["a"].tolist() == [[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]
        assert d["a, transposed"].tolist() == d["a"].T.tolist()
        d["integers"] = numpy.arange(3)
        assert "an array of <i8" in fails(arrays, "means", name, "integers")
        d["text"] = "text"
        assert "no numpy array" in fails(arrays, "means", name, "text")


@pytest.mark.parametrize("codec", ["json", "raw"])
def test_rust_refuses_a_table_of_another_codec(name: str, rust: str, codec: Any) -> None:
    with SharedDict.create(name, capacity=1000, codec=codec):
        assert "codec" in fails(rust, "show", name).lower()


def test_python_and_rust_count_together(name: str, rust: str) -> None:
    with SharedDict.create(name, capacity=100, lock_timeout=60) as d:
        # Begins below zero, so that the sum goes through many widths.
        d["count"] = -30_000
        with subprocess.Popen([rust, "count", name, "count", "100000"]) as program:
            while d["count"] == -30_000:
                assert program.poll() is None
            for _ in range(100_000):
                d.add("count")
            assert program.wait(workers.GUARD) == 0
        assert d["count"] == 170_000
        assert run(rust, "get", name, "count") == "Integer(170000)\n"


def test_python_and_rust_count_together_without_a_codec(name: str, rust: str) -> None:
    with SharedDict.create(name, capacity=100, lock_timeout=60, codec="raw") as d:
        with subprocess.Popen([rust, "raw count", name, "count", "100000"]) as program:
            while b"count" not in d:
                assert program.poll() is None
            for _ in range(100_000):
                d.add(b"count", 2)
            assert program.wait(workers.GUARD) == 0
        assert d[b"count"] == (300_000).to_bytes(8, "little")


def test_python_and_rust_share_plain_bytes(name: str, rust: str) -> None:
    with SharedDict.create(name, capacity=100, codec="raw") as d:
        d[b"key \xfe"] = b"\0value"
        d[b"nothing"] = b""
        d.add(b"counter", -2)
        assert run(rust, "raw", name).splitlines() == [
            "counter: \\xfe\\xff\\xff\\xff\\xff\\xff\\xff\\xff",
            "key \\xfe: \\x00value",
            "nothing: ",
        ]
        assert d[b"from \xff Rust"] == b"\0\1\2\xfe"
        run(rust, "raw count", name, "counter", "3")
        assert d[b"counter"] == (1).to_bytes(8, "little")
        assert d.add(b"counter", 0) == 1


def test_bytes_that_rust_stored_are_an_error_where_they_are_no_value(
    name: str, rust: str
) -> None:
    with SharedDict.create(name, capacity=100) as d:
        run(rust, "raw", name)
        assert len(d) == 1
        with pytest.raises(CodecError, match="raw"):
            list(d)
        with SharedDict.open(name, codec="raw") as bytes_of_it:
            assert bytes_of_it.copy() == {b"from \xff Rust": b"\0\1\2\xfe"}


def test_a_pickle_that_others_may_have_written_is_refused(name: str) -> None:
    # As a program in any language could store one.
    with (
        SharedDict.create(name, capacity=100, mode=0o666) as d,
        SharedDict.open(name, codec="raw") as writer,
    ):
        writer[b"\xa1k"] = b"\xc7\x02PN."
        with pytest.raises(PickleRefusedError):
            assert d["k"] is None
        with SharedDict.open(name, allow_pickle=True) as trusting:
            assert trusting["k"] is None
