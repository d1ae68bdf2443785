"""Values of many types: `d[k] = v` and `d[k]` against pickle, or a copy of the bytes.

A value can't be stored in less time than it takes to write down, so each is compared with
`pickle.dumps` and `pickle.loads`, and a buffer with one copy of its bytes: to memory that is there
when it is stored, and to a new object when it is read. All are measured in turns in one process,
and the least of several rounds counts: what is told are ratios of one run.

Run by `cargo xtask bench-python`, which writes the table into docs/benchmarks-python.md.
"""

from __future__ import annotations

import argparse
import datetime
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy
import pandas
import pyarrow

import page
from shmtable import SharedDict

# Seconds that one measurement takes: less than a turn of the system's scheduler.
LENGTH = 0.001
MIB = 1 << 20


@dataclass
class Record:
    name: str
    number: int
    share: float
    is_open: bool
    tags: list[str]
    parent: Any


# What the times of a value are compared with, and by how much they may exceed that: a factor
# and nanoseconds.
PICKLE = {"set": (1.15, 400.0), "get": (1.15, 150.0)}
COPY = {"set": (1.3, 0.0), "get": (1.3, 0.0)}
# How many times the time of `d[k]` an addition may take, and nanoseconds of `len`.
ADD, LEN = 1.6, 200

FIELDS = {"name": "n", "number": 1, "share": 0.5, "is_open": True, "tags": ["a"], "parent": None}
VALUES: dict[str, Any] = {
    "an int": 7,
    "a str of 100 `x`": "x" * 100,
    "a str of 100 `é`": "é" * 100,
    "a str of 500 `x`": "x" * 500,
    "a str of 500 `é`": "é" * 500,
    "a datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
    "a list of 10 ints": list(range(10)),
    "a list of 1000 ints": list(range(1000)),
    "a list of 1000 floats": [i / 7 for i in range(1000)],
    "a list of 1000 strs": [str(i * 7) for i in range(1000)],
    "a dict of 6 fields": FIELDS,
    "a dict of 100 ints": {str(i): i for i in range(100)},
    "a dict of 1000 strs": {str(i): str(i * 7) for i in range(1000)},
    "a tuple of 3": (1, "two", 3.0),
    "a set of 3": {1, 2, 3},
    "a record of 6 fields": Record(**FIELDS),
    "an array of 8 floats": numpy.arange(8.0),
    "an array of 128 floats": numpy.arange(128.0),
    "a DataFrame of 1 MB": pandas.DataFrame({name: numpy.arange(MIB / 32) for name in "abcd"}),
    "an Arrow table of 1 MB": pyarrow.table({name: numpy.arange(MIB / 32) for name in "abcd"}),
    "a record with an array of 1 MiB": Record("n", 1, 0.5, True, [], numpy.arange(MIB / 8)),
    "bytes of 16": bytes(16),
    "bytes of 1 KiB": bytes(1024),
    "bytes of 8 KiB": bytes(8 << 10),
    "bytes of 64 KiB": bytes(64 << 10),
    "bytes of 256 KiB": bytes(256 << 10),
    "bytes of 1 MiB": bytes(MIB),
    "an array of 64 KiB": numpy.arange(8192.0),
    "an array of 1 MiB": numpy.arange(MIB / 8),
    "an array of 8 MiB": numpy.arange(MIB * 1.0),
}


def copier(value: Any) -> Callable[[], object]:
    """Copies a buffer once, to memory that is there."""
    source = memoryview(value).cast("B")
    target = memoryview(bytearray(len(source)))

    def copy() -> None:
        target[:] = source

    return copy


def references(value: Any) -> dict[str, tuple[str, Callable[[], object]]]:
    """What the two operations are compared with."""
    if isinstance(value, numpy.ndarray) and value.nbytes > 4096:
        return {"set": ("copy", copier(value)), "get": ("copy", value.copy)}
    if isinstance(value, bytes) and len(value) > 4096:
        # A copy to a new object: of bytes themselves there would be none.
        source = memoryview(bytearray(value))
        return {"set": ("copy", copier(value)), "get": ("copy", lambda: bytes(source))}
    pickled = pickle.dumps(value, 5)
    return {
        "set": ("pickle", lambda: pickle.dumps(value, 5)),
        "get": ("pickle", lambda: pickle.loads(pickled)),
    }


def loops(operation: Callable[[], object]) -> int:
    """How often an operation runs in one measurement."""
    count = 1
    while seconds(operation, count) < LENGTH / 4:
        count *= 2
    return count


def seconds(operation: Callable[[], object], count: int) -> float:
    begin = perf_counter()
    for _ in range(count):
        operation()
    return perf_counter() - begin


def least(operations: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Nanoseconds of each operation, of which all take turns."""
    counts = {name: loops(operation) for name, operation in operations.items()}
    times = {name: float("inf") for name in operations}
    for _ in range(rounds):
        for name, operation in operations.items():
            once = seconds(operation, counts[name]) / counts[name] * 1e9
            times[name] = min(times[name], once)
    return times


def nothing() -> None:
    pass


def measure(rounds: int) -> tuple[str, bool]:
    """The table, and whether all limits are met."""
    lines = ["| value | set | of it | get | of it |", "|---|---|---|---|---|"]
    met = True
    with SharedDict[str, Any](capacity=1000, value_space=64 * MIB) as d:
        # So that all of it has pages.
        for _ in range(64):
            d["key"] = bytes(8 * MIB)
        for name, value in VALUES.items():
            against = references(value)
            times = least(
                {
                    "set": lambda value=value: d.__setitem__("key", value),  # type: ignore[misc]
                    "get": lambda: d["key"],
                    "set by": against["set"][1],
                    "get by": against["get"][1],
                    "call": nothing,
                },
                rounds,
            )
            cells = []
            for operation in ("set", "get"):
                kind, _ = against[operation]
                factor, extra = (COPY if kind == "copy" else PICKLE)[operation]
                ours, other = (times[each] - times["call"] for each in (operation, operation + " by"))
                limit = factor * other + extra
                met &= ours <= limit
                verdict = "reached" if ours <= limit else "MISSED"
                print(
                    f"{name}, {operation}: {ours:,.0f} ns, {ours / other:.2f} of one {kind}, "
                    f"at most {limit:,.0f} ns: {verdict}",
                    file=sys.stderr,
                )
                cells += [shown(ours), marked(f"{ours / other:.2f} of one {kind}", ours <= limit)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    text, others_met = measure_others(rounds)
    return "\n".join(lines) + "\n\n" + text, met and others_met


def measure_others(rounds: int) -> tuple[str, bool]:
    """`add` and `len`, as a sentence each, and whether their limits are met."""
    with (
        SharedDict[str, int](capacity=100_000) as d,
        SharedDict[str, int](capacity=1_000_000) as large,
    ):
        d["number"] = 1000
        times = least(
            {
                "get": lambda: d["number"],
                "add": lambda: d.add("number", 0),
                "len": lambda: len(d),
                "len of a large one": lambda: len(large),
                "call": nothing,
            },
            rounds,
        )
    get, add, length, large_length = (
        times[each] - times["call"] for each in ("get", "add", "len", "len of a large one")
    )
    ratio = marked(f"{add / get:.2f} of `d[key]`", add <= ADD * get)
    lengths = [marked(f"{each:,.0f} ns", each <= LEN) for each in (length, large_length)]
    text = (
        f"`d.add(key, n)` takes {add:.0f} ns, {ratio}. `len(d)` takes {lengths[0]} in a table for 100,000 "
        f"entries, and {lengths[1]} in one for a million: it adds up the counts of all stripes."
    )
    print(text, file=sys.stderr)
    return text, add <= ADD * get and max(length, large_length) <= LEN


def marked(text: str, is_met: bool) -> str:
    """A figure, in bold if it misses its limit."""
    return text if is_met else f"**{text}**"


def shown(nanoseconds: float) -> str:
    if nanoseconds < 10_000:
        return f"{nanoseconds:,.0f} ns"
    return f"{nanoseconds / 1000:,.0f} µs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, writes nothing")
    arguments = parser.parse_args()
    table, met = measure(50 if arguments.quick else 500)
    print(table)
    if not arguments.quick:
        page.write(table, "bench-python values")
        sys.exit(not met)


if __name__ == "__main__":
    main()
