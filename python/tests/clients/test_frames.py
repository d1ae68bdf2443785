"""Do data frames and Arrow tables come back as pickle makes them, with their memory copied once?"""

from __future__ import annotations

import pickle
from typing import Any

import numpy
import pandas
import pyarrow
import pytest

from shmtable import PickleRefusedError, SharedDict, ValueTypeError

ANYTHING = SharedDict[Any, Any]
ROOM = {"capacity": 100, "value_space": 32 << 20}
ROWS = 20_000
# The first byte, the length and the type of an extension of 32 bits.
LONG, BUFFERS = 0xC9, 66


def frame() -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "price": numpy.arange(float(ROWS)),
            "count": numpy.arange(ROWS),
            "open": numpy.arange(ROWS) % 2 == 0,
            "name": [f"name {n % 7}" for n in range(ROWS)],
            "kind": pandas.Categorical(["a", "b"] * (ROWS // 2)),
            "time": pandas.date_range("2026-01-01", periods=ROWS, freq="s", tz="UTC"),
        }
    )


def table() -> pyarrow.Table:
    return pyarrow.table({"price": numpy.arange(float(ROWS)), "name": [f"name {n}" for n in range(ROWS)]})


@pytest.fixture
def d() -> Any:
    with ANYTHING(**ROOM) as d:
        yield d


def has_buffers(d: ANYTHING, key: bytes) -> bool:
    with ANYTHING.open(d.name, codec="raw") as raw:
        return raw[key][0] == LONG and raw[key][5] == BUFFERS


def test_frames_come_back_and_may_be_changed(d: ANYTHING) -> None:
    value = frame()
    d[1] = value
    assert has_buffers(d, b"\x01")
    for found in (d[1], d.get_many([1])[0], d.setdefault(2, value), dict(d.items())[1]):
        pandas.testing.assert_frame_equal(found, value)
    found, loaded = d[1], pickle.loads(pickle.dumps(value, 5))
    for column in value.columns:
        for memory in ("_ndarray", "_codes"):
            here, there = (getattr(frame[column].array, memory, None) for frame in (found, loaded))
            if isinstance(here, numpy.ndarray):
                assert here.flags.writeable == there.flags.writeable, column
    found["price"] += 1
    found.loc[3, "count"] = -1
    pandas.testing.assert_frame_equal(d[1], value)


def test_a_block_of_a_frame_is_writable_as_pickle_makes_it(d: ANYTHING) -> None:
    value = pandas.DataFrame(numpy.zeros((ROWS, 4)))
    d[1] = value
    assert has_buffers(d, b"\x01")
    loaded = pickle.loads(pickle.dumps(value, 5))
    flags = [frame._mgr.blocks[0].values.flags for frame in (d[1], loaded)]
    assert flags[0].writeable == flags[1].writeable
    found = d[1]
    found.iloc[5, 2] = 7.0
    assert found.iloc[5, 2] == 7.0
    assert d[1].iloc[5, 2] == 0.0


def test_series_indexes_and_columns_of_arrow_come_back(d: ANYTHING) -> None:
    values = [
        frame()["price"],
        pandas.Index(numpy.arange(ROWS) * 2),
        pandas.MultiIndex.from_product([range(100), range(200)]),
        pandas.Series(pandas.array([1, None] * ROWS, dtype="Int64")),
        pandas.Series(numpy.arange(float(ROWS)), dtype="float64[pyarrow]"),
    ]
    for value in values:
        d[1] = value
        assert has_buffers(d, b"\x01")
        assert d[1].equals(value)


def test_arrow_tables_come_back(d: ANYTHING) -> None:
    value = table()
    d[1] = value
    assert has_buffers(d, b"\x01")
    found = d[1]
    assert found.equals(value)
    found.validate(full=True)
    d[2] = value.slice(10, 5000)
    assert d[2].equals(value.slice(10, 5000))
    loaded = pickle.loads(pickle.dumps(value, 5))
    for here, there in zip(found["price"].chunk(0).buffers(), loaded["price"].chunk(0).buffers(), strict=True):
        assert (here is None) == (there is None)
        if here is not None:
            assert (here.is_mutable, here.size) == (there.is_mutable, there.size)


def test_a_frame_that_was_read_is_what_is_stored(d: ANYTHING) -> None:
    d["frame"] = frame()
    assert d.compare_exchange("frame", d["frame"], 1)
    d["frame"] = frame()
    d.update_value("frame", lambda found: found.assign(price=0.0))
    assert (d["frame"]["price"] == 0.0).all()


def test_frames_are_refused_where_pickles_are(d: ANYTHING) -> None:
    d["frame"] = frame()
    with ANYTHING.open(d.name, allow_pickle=False) as careful:
        with pytest.raises(PickleRefusedError):
            _ = careful["frame"]
        with pytest.raises(PickleRefusedError):
            careful["other"] = table()
    with ANYTHING(codec="msgpack", **ROOM) as other, pytest.raises(ValueTypeError):
        other["frame"] = frame()
