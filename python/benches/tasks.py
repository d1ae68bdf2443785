"""Tasks of a pool that carry a handle, beside tasks that carry none.

The pool has one worker, tasks go to it one at a time, and all of it runs on one processor, so that
the time of a task is all that it costs on both sides: pickling, the pipe, unpickling, the table. The
kinds of tasks take turns, one task each, so that whatever else the machine does meets all of them;
what is told is the median of each kind.

Gets are timed inside of a task, and beside the same gets in this process. Whoever reads first
brings the table into the cache that all processors share, so the two take turns in that, too.

Run by `cargo xtask bench-python`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

from shmtable import SharedDict

ENTRIES = 100_000
KEYS = 1000
TASKS = 5000
ROUNDS = 20
PASSES = 10


class Plain:
    """An object with an attribute: what any object costs that isn't one of Python's own."""

    def __init__(self) -> None:
        self.name = "anon-0123456789abcdef"


def nothing(_: object) -> None:
    """A task that does nothing with what it is given."""


def one_get(d: SharedDict[str, str]) -> None:
    d["0"]


def gets(d: SharedDict[str, str]) -> tuple[float, float]:
    """Seconds for a get of each of many keys, and of all passes over them."""
    keys = [str(i) for i in range(0, ENTRIES, ENTRIES // KEYS)]
    get = d.get
    passes = []
    for _ in range(PASSES):
        begin = perf_counter()
        for key in keys:
            get(key)
        passes.append((perf_counter() - begin) / KEYS)
    return passes[0], statistics.mean(passes)


def timed(pool: Any, task: Callable[[Any], object], argument: object) -> float:
    begin = perf_counter()
    pool.apply(task, (argument,))
    return perf_counter() - begin


def of_tasks(pool: Any, d: SharedDict[str, str]) -> dict[str, float]:
    tasks: list[tuple[str, Callable[[Any], object], object]] = [
        ("without a handle", nothing, ("a", 1)),
        ("with a plain object", nothing, Plain()),
        ("with a handle", nothing, d),
        ("with a handle and a get", one_get, d),
    ]
    times: dict[str, list[float]] = {name: [] for name, _, _ in tasks}
    for _ in range(TASKS):
        random.shuffle(tasks)
        for name, task, argument in tasks:
            times[name].append(timed(pool, task, argument))
    return {name: statistics.median(all) for name, all in times.items()}


def of_gets(pool: Any, d: SharedDict[str, str]) -> dict[str, float]:
    times: dict[str, list[tuple[float, float]]] = {"a task": [], "the parent": []}
    for turn in range(ROUNDS):
        # The caches are to hold other things before.
        for _ in range(200):
            pool.apply(nothing, (d,))
        for place in sorted(times, reverse=turn % 2 == 1):
            times[place].append(gets(d) if place == "the parent" else pool.apply(gets, (d,)))
    found = {}
    for place, both in times.items():
        first, all = zip(*both, strict=True)
        # Half of the first passes were the first of their turn.
        found[f"a first get in {place}"] = statistics.mean(first[2:])
        found[f"a get in {place}"] = statistics.median(all)
    return found


def run(method: str) -> dict[str, float]:
    """Seconds for one task or get, for one start method."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with SharedDict[str, str](capacity=ENTRIES) as d:
        d.set_many((str(i), "1") for i in range(ENTRIES))
        with multiprocessing.get_context(method).Pool(1) as pool:
            return of_tasks(pool, d) | of_gets(pool, d)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", default="spawn")
    print(json.dumps(run(parser.parse_args().method)))
