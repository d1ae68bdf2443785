"""How tests damage a table: bytes of its segment, and keys and values that no codec wrote."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shmtable import SharedDict

ANYTHING = SharedDict[Any, Any]


def segment(name: str) -> Path:
    return Path("/dev/shm") / f"shmtable.{name}"


@contextlib.contextmanager
def overwritten(name: str, offset: int, content: bytes) -> Iterator[None]:
    """Changes a segment's bytes for a moment."""
    with open(segment(name), "r+b", buffering=0) as file:
        file.seek(offset)
        before = file.read(len(content))
        file.seek(offset)
        file.write(content)
        try:
            yield
        finally:
            file.seek(offset)
            file.write(before)


@contextlib.contextmanager
def damaged(codec: Any, **options: Any) -> Iterator[tuple[ANYTHING, ANYTHING]]:
    """A table, and its bytes."""
    name = f"test-{os.getpid()}-{random.getrandbits(64):x}"
    with SharedDict.create(name, codec=codec, capacity=10, value_space=1 << 21, **options) as d:
        try:
            with SharedDict.open(name, codec="raw") as raw:
                yield d, raw
        finally:
            d.unlink()


def reads(d: ANYTHING, key: Any) -> dict[str, Callable[[], object]]:
    """Every operation that decodes a value."""
    return {
        "d[k]": lambda: d[key],
        "get": lambda: d.get(key),
        "get_many": lambda: d.get_many([key]),
        "setdefault": lambda: d.setdefault(key, 1),
        "wait": lambda: d.wait(key, 0),
        "wait_any": lambda: d.wait_any([key], 0),
        "watch": lambda: next(d.watch(key)),
        "copy": lambda: d.copy(),
        "snapshot": lambda: d.snapshot(),
        "values": lambda: list(d.values()),
        "items": lambda: list(d.items()),
        "in values": lambda: 5 in d.values(),
        "in items": lambda: (key, 5) in d.items(),
        "==": lambda: d == {},
        "|": lambda: d | {},
        "add": lambda: d.add(key),
        "compare_exchange": lambda: d.compare_exchange(key, 5, 6),
        "update_value": lambda: d.update_value(key, lambda old: old),
        "get_or_compute": lambda: d.get_or_compute(key, lambda: 1),
    }


def takes(d: ANYTHING, key: Any) -> dict[str, Callable[[], object]]:
    """Every operation that decodes a value and removes it."""
    return {
        "pop": lambda: d.pop(key),
        "pop with a default": lambda: d.pop(key, None),
        "popitem": lambda: d.popitem(),
        "popitem again": lambda: d.popitem(),
    }
