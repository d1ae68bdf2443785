"""A million strings: SharedDict against a dict, a Manager's dict and LMDB.

The question is an old one: a million entries `str(i * 2) -> '1'`, and then a million
`get(str(i))`, half of which miss; once in the order of insertion, once shuffled. Each
contender runs in a process of its own, one after the other, in several rounds; what is
told is the median. All are bounded by the same loop and the same `str(i)`.

Run by `cargo xtask bench-python`, which writes the table into docs/benchmarks-python.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterable
from multiprocessing import Manager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import page
from shmtable import SharedDict

BATCH = 1000
HOT = 1_000_000
# As in the question: it would take minutes.
MANAGER_SHARE = 10
CONTENDERS = ("SharedDict", "dict", "Manager().dict()", "lmdb")


def gets(get: Callable[[str], Any], order: Iterable[int], count: int) -> float:
    """Seconds for one get, with the question's own check."""
    begin = perf_counter()
    for i in order:
        if bool(get(str(i))) != (i % 2 == 0):
            raise AssertionError(i)
    return (perf_counter() - begin) / count


def bytes_gets(get: Callable[[bytes], Any], order: Iterable[int], count: int) -> float:
    """The same for a store whose keys are bytes."""
    begin = perf_counter()
    for i in order:
        if bool(get(str(i).encode())) != (i % 2 == 0):
            raise AssertionError(i)
    return (perf_counter() - begin) / count


def hot(get: Callable[[str], Any]) -> float:
    """Seconds for one get of one key, which the processor has at hand."""
    key = "0"
    begin = perf_counter()
    for _ in range(HOT):
        get(key)
    return (perf_counter() - begin) / HOT


def timed_inserts(insert: Callable[[int], None], n: int) -> float:
    begin = perf_counter()
    insert(n)
    return (perf_counter() - begin) / n


def fill(d: Any, n: int) -> None:
    for i in range(n):
        d[str(i * 2)] = "1"


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that a process has to itself."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def payload(n: int) -> int:
    return sum(len(str(i * 2)) + 1 for i in range(n))


def shuffled(n: int) -> array[int]:
    order = array("I", range(n))
    random.Random(1).shuffle(order)
    return order


def run(contender: str, n: int) -> dict[str, float]:
    """One round of one contender, in this process."""
    if contender == "Manager().dict()":
        n //= MANAGER_SHARE
    order = shuffled(n)
    # Every page that an insertion touches is a new one, in this process too.
    gc.collect()
    before = resident()
    figures: dict[str, float] = {"entries": n}
    if contender == "dict":
        plain: dict[str, str] = {}
        figures["insert"] = timed_inserts(lambda n: fill(plain, n), n)
        figures["bytes"] = resident() - before
        figures["get in order"] = gets(plain.get, range(n), n)
        figures["get shuffled"] = gets(plain.get, order, n)
        figures["hot"] = hot(plain.get)
    elif contender == "Manager().dict()":
        with Manager() as manager:
            pid = manager._process.pid  # type: ignore[attr-defined]
            before = resident(pid)
            shared = manager.dict()
            figures["insert"] = timed_inserts(lambda n: fill(shared, n), n)
            figures["bytes"] = resident(pid) - before
            figures["get in order"] = gets(shared.get, range(n), n)
            figures["get shuffled"] = gets(shared.get, order, n)
    elif contender == "lmdb":
        figures |= run_lmdb(n, order)
    else:
        figures |= run_shared(n, order)
    return figures


def run_lmdb(n: int, order: array[int]) -> dict[str, float]:
    """LMDB at its fastest: in memory, without syncs, one transaction each."""
    import lmdb

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="shmtable-bench-") as folder:
        options = {"writemap": True, "map_async": True, "sync": False, "metasync": False}
        with lmdb.open(folder, map_size=1 << 30, readahead=False, **options) as store:

            def insert(n: int) -> None:
                with store.begin(write=True) as writing:
                    put = writing.put
                    for i in range(n):
                        put(str(i * 2).encode(), b"1")

            figures["insert"] = timed_inserts(insert, n)
            figures["bytes"] = os.stat(f"{folder}/data.mdb").st_blocks * 512
            with store.begin() as reading:
                figures["get in order"] = bytes_gets(reading.get, range(n), n)
                figures["get shuffled"] = bytes_gets(reading.get, order, n)
    return figures


def run_shared(n: int, order: array[int]) -> dict[str, float]:
    figures: dict[str, float] = {}
    with SharedDict[str, str]() as d:
        figures["insert"] = timed_inserts(lambda n: fill(d, n), n)
        stats = d.stats()
        figures["bytes"] = stats["index_bytes"] + stats["value_bytes_reserved"]
        figures["get in order"] = gets(d.get, range(n), n)
        figures["get shuffled"] = gets(d.get, order, n)
        figures["hot"] = hot(d.get)
        figures["attach"] = attach(d.name)
        # With the keys made beforehand, one by one and in batches.
        keys = [str(i) for i in order]
        begin = perf_counter()
        for key in keys:
            d.get(key)
        figures["single"] = (perf_counter() - begin) / n
        begin = perf_counter()
        for first in range(0, n, BATCH):
            d.get_many(keys[first : first + BATCH])
        figures["many"] = (perf_counter() - begin) / n
    return figures


def attach(name: str) -> float:
    """Seconds in which another process opens a table and reads one value."""
    command = [sys.executable, __file__, "--attach", name]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout)


def attach_here(name: str) -> float:
    """The median of a few."""
    times = []
    for _ in range(21):
        begin = perf_counter()
        other: SharedDict[str, str] = SharedDict.open(name)
        other["0"]
        times.append(perf_counter() - begin)
        other.close()
    return statistics.median(times)


def rounds(n: int, count: int) -> dict[str, dict[str, float]]:
    """The medians, of contenders that take turns."""
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for number in range(count):
        for contender in CONTENDERS:
            command = [sys.executable, __file__, "--contender", contender, "--entries", str(n)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = json.loads(answer.stdout)
            seen[contender].append(figures)
            print(f"round {number + 1}, {contender}: {shown(figures)}", file=sys.stderr)
    return {
        contender: {key: statistics.median(f[key] for f in all) for key in all[0]}
        for contender, all in seen.items()
    }


def shown(figures: dict[str, float]) -> str:
    times = {key: value for key, value in figures.items() if key not in ("entries", "bytes")}
    return ", ".join(f"{key} {value * 1e9:.0f} ns" for key, value in times.items())


def report(medians: dict[str, dict[str, float]], count: int) -> tuple[str, bool]:
    """The table, with the ratios, and whether all limits are met."""
    columns = ("insert", "get in order", "get shuffled")
    ours = medians["SharedDict"]
    lines = [
        f"| | {' | '.join(columns)} | bytes an entry |",
        "|---|---|---|---|---|",
    ]
    for contender in CONTENDERS:
        figures = medians[contender]
        cells = []
        for column in columns:
            ratio = figures[column] / ours[column]
            beside = "" if contender == "SharedDict" else f" ({ratio:.2f})"
            cells.append(f"{figures[column] * 1e9:,.0f} ns{beside}")
        cells.append(f"{figures['bytes'] / figures['entries']:.0f}")
        lines.append(f"| `{contender}` | {' | '.join(cells)} |")
    n = int(ours["entries"])
    over = (ours["bytes"] - payload(n)) / n
    lines += [
        "",
        "In brackets: how many times `SharedDict`'s time that is; below 1 it is faster. "
        f"`get_many` of {BATCH} shuffled keys takes {ours['many'] * 1e9:,.0f} ns a key, "
        f"single gets of the same {ours['single'] * 1e9:,.0f}. "
        f"One key again and again, which the processor has at hand, takes {ours['hot'] * 1e9:.0f} ns, "
        f"and {medians['dict']['hot'] * 1e9:.0f} in a dict. "
        f"Opening the full table and reading one value takes {ours['attach'] * 1e6:,.0f} µs. "
        f"Above the bytes of keys and values, an entry takes {over:.1f} bytes. "
        f"{n:,} entries (the Manager {n // MANAGER_SHARE:,}), medians of {count} rounds, "
        f"Python {platform.python_version()}, {processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.release().split('-')[0]}.",
    ]
    ratios = {
        (contender, column): medians[contender][column] / ours[column]
        for contender in CONTENDERS
        for column in columns
    }
    limits = [
        ("Manager, get in order", ratios["Manager().dict()", "get in order"], 80),
        ("dict, get in order", ratios["dict", "get in order"], 1.5),
        ("dict, get shuffled", ratios["dict", "get shuffled"], 1.5),
        ("lmdb, get in order", ratios["lmdb", "get in order"], 1.3),
        ("lmdb, get shuffled", ratios["lmdb", "get shuffled"], 2.3),
        ("dict, insert", ratios["dict", "insert"], 0.6),
        ("get_many against single gets", ours["single"] / ours["many"], 2.0),
        ("1 ms against attaching", 1e-3 / ours["attach"], 1.0),
        ("40 bytes against an entry's overhead", 40 / over, 1.0),
    ]
    return "\n".join(lines), within(limits)


def within(limits: list[tuple[str, float, float]]) -> bool:
    """Tells which limits are met, and whether all are."""
    for what, found, limit in limits:
        verdict = "reached" if found >= limit else "MISSED"
        print(f"{what}: {found:.2f} times, to reach {limit}: {verdict}", file=sys.stderr)
    return all(found >= limit for _, found, limit in limits)


class Tasks(NamedTuple):
    """Seconds, from the program beside this one."""

    without: float
    plain: float
    handed: float
    used: float
    get_in_task: float
    get_in_parent: float
    first_in_task: float
    first_in_parent: float

    def told(self) -> str:
        return (
            f"A task of a pool takes {self.without * 1e6:.1f} µs, one that carries an object with an "
            f"attribute {self.plain * 1e6:.1f} µs, one that carries a handle {self.handed * 1e6:.1f} µs, "
            f"and one that reads a value with it {self.used * 1e6:.1f} µs. "
            f"Of 10,000 gets of 1000 keys in such a task, one takes {self.get_in_task * 1e9:.0f} ns, in "
            f"the parent {self.get_in_parent * 1e9:.0f} ns; the first of each key, with cold caches, "
            f"{self.first_in_task * 1e9:.0f} and {self.first_in_parent * 1e9:.0f} ns."
        )

    def limits(self) -> list[tuple[str, float, float]]:
        added = self.used - self.without
        return [
            ("5 us against what a handle and a get add to a task", 5e-6 / added, 1.0),
            ("the parent's gets against those of a task", self.get_in_parent / self.get_in_task, 0.9),
        ]


def tasks() -> Tasks:
    command = [sys.executable, Path(__file__).with_name("tasks.py")]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(answer.stdout)
    return Tasks(
        found["without a handle"],
        found["with a plain object"],
        found["with a handle"],
        found["with a handle and a get"],
        found["a get in a task"],
        found["a get in the parent"],
        found["a first get in a task"],
        found["a first get in the parent"],
    )


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, writes nothing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--contender", choices=CONTENDERS, help="one of them, once; prints JSON")
    parser.add_argument("--attach", metavar="NAME", help="opens a table; prints the seconds")
    arguments = parser.parse_args()
    if arguments.attach:
        print(attach_here(arguments.attach))
        return
    if arguments.contender:
        print(json.dumps(run(arguments.contender, arguments.entries)))
        return
    if arguments.quick:
        arguments.entries //= 10
    medians = rounds(arguments.entries, arguments.rounds)
    table, met = report(medians, arguments.rounds)
    of_tasks = tasks()
    table += "\n\n" + of_tasks.told()
    met &= within(of_tasks.limits())
    print(table)
    if not arguments.quick:
        page.write(table, "bench-python")
        sys.exit(not met)


if __name__ == "__main__":
    main()
