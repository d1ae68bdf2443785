"""Tasks of a pool that carry a handle, beside tasks that carry none.

The pool has one worker, and tasks go to it one at a time, so that the time of a task is all
that it costs on both sides: pickling, the pipe, unpickling, the table. The kinds of tasks take
turns; what is told is the median of their rounds. A task's gets are timed inside of the
worker, and beside the same gets in this process.

Run by `cargo xtask bench-python`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

from shmtable import SharedDict

ENTRIES = 100_000
KEYS = 1000
TASKS = 500
ROUNDS = 21


def nothing(_: object) -> None:
    """A task that does nothing with what it is given."""


def one_get(d: SharedDict[str, str]) -> None:
    d["0"]


def gets(d: SharedDict[str, str]) -> float:
    """Seconds for one of many gets, in the order of another place each time."""
    keys = [str(i) for i in range(0, ENTRIES, ENTRIES // KEYS)]
    get = d.get
    begin = perf_counter()
    for key in keys:
        get(key)
    return (perf_counter() - begin) / KEYS


def of_one_task(pool: Any, task: Callable[[Any], object], argument: object) -> float:
    begin = perf_counter()
    for _ in range(TASKS):
        pool.apply(task, (argument,))
    return (perf_counter() - begin) / TASKS


def run(method: str) -> dict[str, float]:
    """The medians in seconds, for one start method."""
    with SharedDict[str, str](capacity=ENTRIES) as d:
        d.set_many((str(i), "1") for i in range(ENTRIES))
        with multiprocessing.get_context(method).Pool(1) as pool:
            tasks: dict[str, Callable[[], float]] = {
                "without a handle": lambda: of_one_task(pool, nothing, ("a", 1)),
                "with a handle": lambda: of_one_task(pool, nothing, d),
                "with a handle and a get": lambda: of_one_task(pool, one_get, d),
                "a get in a task": lambda: pool.apply(gets, (d,)),
                "a get in the parent": lambda: gets(d),
            }
            times: dict[str, list[float]] = {name: [] for name in tasks}
            for _ in range(ROUNDS):
                for name, task in tasks.items():
                    times[name].append(task())
    return {name: statistics.median(all) for name, all in times.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", default="spawn")
    print(json.dumps(run(parser.parse_args().method)))
