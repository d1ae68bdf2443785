"""Two processes change the same entries: in two steps, and atomically.

`d[key] += x` reads and then writes, here as in a `Manager().dict()`: what the other
process writes in between is lost. `add` and `update_value` lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import Process
from typing import Any

from shmtable import SharedDict


def two_steps(d: SharedDict[Any, Any]) -> None:
    d[1] += "1"
    d["2"] += 2


def atomically(d: SharedDict[Any, Any]) -> None:
    d.update_value(1, lambda old: old + "1")
    d.add("2", 2)


def run(f: Callable[[SharedDict[Any, Any]], None]) -> None:
    d: SharedDict[Any, Any] = SharedDict()
    d[1] = "1"
    d["2"] = 2
    p1 = Process(target=f, args=(d,))
    p2 = Process(target=f, args=(d,))
    p1.start()
    p2.start()
    p1.join()
    p2.join()
    print(f"{f.__name__}: {{1: {d[1]!r}, '2': {d['2']!r}}}")


if __name__ == "__main__":
    run(two_steps)
    run(atomically)
