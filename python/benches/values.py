"""Values of many types: `d[k] = v` and `d[k]` against pickle, or a copy of the bytes.

A value can't be stored in less time than it takes to write down, so each is compared with
`pickle.dumps` and `pickle.loads`, and a buffer with one copy of its bytes. All are measured
in turns in one process, and the least of several rounds counts: what is told are ratios of
one run.

Run by `cargo xtask bench-python`, which writes the table into docs/benchmarks-python.md.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy

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
    parent: None


# What the times of a value are compared with, and by how much they may exceed that: a factor
# and nanoseconds.
PICKLE = {"set": (1.15, 400.0), "get": (1.15, 150.0)}
# A long value takes a run of chunks, which costs some microseconds, and memory for new bytes is
# cleared before it is filled.
COPY = {"set": (1.5, 8000.0), "get": (1.75, 3000.0)}

FIELDS = {"name": "n", "number": 1, "share": 0.5, "is_open": True, "tags": ["a"], "parent": None}
VALUES: dict[str, Any] = {
    "an int": 7,
    "a str of 100 `x`": "x" * 100,
    "a str of 100 `é`": "é" * 100,
    "a list of 10 ints": list(range(10)),
    "a list of 1000 ints": list(range(1000)),
    "a list of 1000 floats": [i / 7 for i in range(1000)],
    "a dict of 6 fields": FIELDS,
    "a dict of 1000 strs": {str(i): str(i * 7) for i in range(1000)},
    "a tuple of 3": (1, "two", 3.0),
    "a set of 3": {1, 2, 3},
    "a record of 6 fields": Record(**FIELDS),
    "an array of 10 floats": numpy.arange(10.0),
    "bytes of 1 KiB": bytes(1024),
    "bytes of 64 KiB": bytes(64 << 10),
    "bytes of 1 MiB": bytes(MIB),
    "an array of 64 KiB": numpy.arange(8192.0),
    "an array of 1 MiB": numpy.arange(MIB / 8),
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
    size = len(value) if isinstance(value, bytes) else getattr(value, "nbytes", 0)
    if size > 4096:
        copy = copier(value)
        return {"set": ("copy", copy), "get": ("copy", copy)}
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
    with SharedDict[str, Any](capacity=1000, value_space=16 * MIB) as d:
        # So that all of it has pages.
        for _ in range(64):
            d["key"] = bytes(MIB)
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
                cells += [shown(ours), f"{ours / other:.2f} of one {kind}"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        met &= measure_others(d, rounds)
    return "\n".join(lines), met


def measure_others(d: SharedDict[str, Any], rounds: int) -> bool:
    """`add` against `get`, which is a call of a method too, and `len`."""
    d["number"] = 1000
    times = least(
        {
            "get": lambda: d.get("number"),
            "add": lambda: d.add("number", 0),
            "len": lambda: len(d),
            "call": nothing,
        },
        rounds,
    )
    get, add, length = (times[each] - times["call"] for each in ("get", "add", "len"))
    print(f"add: {add:.0f} ns, {add / get:.2f} of a get, at most 1.6", file=sys.stderr)
    print(f"len: {length:.0f} ns, at most 200", file=sys.stderr)
    return add <= 1.6 * get and length <= 200


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
