"""Are a table's figures a dict for programs, and readable for people?"""

from __future__ import annotations

import datetime
import json
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import SharedDict, Stats

NEW = Callable[..., SharedDict[Any, Any]]


def test_stats_are_a_dict_of_ints_under_their_documented_names(new: NEW) -> None:
    stats = new({"a": 1, "b": "x" * 1000}).stats()
    assert isinstance(stats, dict)
    assert all(type(value) is int for value in stats.values())
    assert (stats["entries"], stats["capacity"], stats["participants"]) == (2, 1000, 1)
    assert json.loads(json.dumps(stats)) == stats == dict(stats)
    again = pickle.loads(pickle.dumps(stats))
    assert (type(again), again, str(again)) == (Stats, stats, str(stats))
    assert repr(stats) == repr(dict(stats))
    assert abs(stats["created"] - time.time_ns()) < 3600 * 10**9


def test_every_figure_is_printed(new: NEW) -> None:
    stats = new(capacity=100).stats()
    # Each changed by itself changes what is printed.
    for name, value in stats.items():
        other = Stats(stats)
        other[name] = value + (3600 * 10**9 if name == "created" else 1 << 30)
        assert str(other) != str(stats), name


FIGURES = Stats(
    entries=1500,
    capacity=1_000_000,
    grows=0,
    slots=1_677_312,
    value_space=64 << 20,
    value_bytes_live=300,
    value_bytes_dead=1 << 10,
    value_bytes_free=1500 << 10,
    value_bytes_reserved=3 << 20,
    segment_bytes=2 << 40,
    index_bytes=31_457_280,
    max_index_bytes=31_457_280,
    memory_bytes=33 << 20,
    max_bytes=0,
    chunk_bytes=1 << 20,
    chunks_free=60,
    chunks_open=1,
    chunks_sealed=2,
    chunks_cleaning=0,
    chunks_in_runs=1234,
    stripes=2048,
    participants=3,
    max_participants=1024,
    acquired=40_000,
    contended=100,
    take_overs=7,
    cleanings=12,
    longest_probe=2,
    created=int(datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc).timestamp()) * 10**9 + 5,
)
PRINTED = """\
entries       1,500 of 1,000,000 (0.1 %), 1,677,312 slots
value space   64.0 MiB: 300 B live, 1.0 KiB to be cleaned, 1.5 MiB free
memory        33.0 MiB: 30.0 MiB for the index, 3.0 MiB for values; 2.0 TiB of address space
chunks        of 1.0 MiB: 60 free, 1 open, 2 sealed, 0 being cleaned, 1,234 in runs; 12 cleaned so far
participants  3 of 1,024
locks         2,048, taken 40,000 times: 100 (0.2 %) after a wait, 7 recovered from dead processes
lookups       at most 2 buckets
created       2024-02-29 12:30:00 UTC"""


def test_figures_are_printed_with_their_units() -> None:
    assert str(FIGURES) == PRINTED
    assert str(Stats({**FIGURES, "acquired": 0, "contended": 0})).count("(0.0 %)") == 1
    grows = str(Stats({**FIGURES, "grows": 1, "capacity": 1 << 32, "max_index_bytes": 132 << 30}))
    assert "entries       1,500, grows to 4,294,967,296, 1,677,312 slots\n" in grows
    bounded = str(Stats({**FIGURES, "max_bytes": 64 << 20}))
    assert "memory        33.0 MiB of at most 64.0 MiB: 30.0 MiB for the index," in bounded
    assert ": 30.0 MiB for the index (up to 132.0 GiB), 3.0 MiB for values;" in grows
    assert "lookups       at most 1 bucket\n" in str(Stats({**FIGURES, "longest_probe": 1}))


def test_the_documented_figures_are_those_that_there_are(new: NEW) -> None:
    guide = Path(__file__).parents[2] / "docs" / "python" / "statistics.md"
    documented = re.findall(r"^\| `(\w+)` \|", guide.read_text(), re.M)
    assert documented == list(new().stats())


@pytest.mark.parametrize("read_only", [False, True])
def test_a_handle_of_any_kind_has_stats(name: str, read_only: bool) -> None:
    with SharedDict(name=name, capacity=10), SharedDict.open(name, read_only=read_only) as d:
        assert d.stats()["capacity"] == 10
