"""Is a damaged segment an error or another value, and never more than that?"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import CorruptedError, Error, IncompatibleFormatError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
from damage import overwritten, segment
from workers import THERE

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


def test_a_damaged_arena_is_noticed_by_every_operation_that_looks(new: NEW) -> None:
    there = {number: f"{number}, too long for a slot" for number in range(1000)}
    d = new(there, value_space=64_000, max_participants=8)
    arena = d.stats()["max_index_bytes"]
    with overwritten(d.name, arena, b"\xff" * (d.stats()["segment_bytes"] - arena)):
        for look in (
            lambda: [d[number] for number in range(1000)],
            lambda: d.get_many(range(1000)),
            lambda: list(d),
            lambda: list(d.items()),
            lambda: d.copy(),
            lambda: d.snapshot(),
        ):
            with pytest.raises(CorruptedError, match="the segment is damaged: "):
                look()
    assert d == there


def test_random_damage_is_an_exception_or_another_value(name: str) -> None:
    choose = random.Random(7)
    there = {n: [n] * (n % 20) for n in range(100)}
    with SharedDict(there, name=name, capacity=200, value_space=12_800, max_participants=8) as d:
        image = segment(name).read_bytes()
    begin, end = 4096 + 64 * 8, len(image.rstrip(b"\0"))
    for _ in range(150):
        damage = bytearray(image)
        for _ in range(choose.randint(1, 200)):
            at = choose.randrange(begin, end)
            damage[at] = choose.randrange(256)
        segment(name).write_bytes(damage)
        with SharedDict.open(name, lock_timeout=0.001, allow_pickle=False) as d:
            for look in (
                lambda: [d.get(n) for n in range(100)],
                lambda: d.get_many(range(100)),
                lambda: d.copy(),
                lambda: list(d),
                lambda: d.snapshot(),
                lambda: [d.__setitem__(n, n) for n in range(100)],
                lambda: [d.pop(n, None) for n in range(100)],
                lambda: d.clear(),
            ):
                with contextlib.suppress(Error):
                    look()


@pytest.mark.parametrize(("offset", "error"), [(0, IncompatibleFormatError), (8, IncompatibleFormatError),
    (16, IncompatibleFormatError), (24, CorruptedError), (32, CorruptedError), (104, CorruptedError),
    (128, CorruptedError)])  # fmt: skip
def test_a_damaged_header_is_not_opened(
    there: ANYTHING, name: str, offset: int, error: type[Error]
) -> None:
    # A table that is open here is not read again.
    there.close()
    with overwritten(name, offset, b"\x77" * 8):
        for attach in (
            lambda: SharedDict(name=name),
            lambda: SharedDict.open(name),
            lambda: SharedDict.open(name, read_only=True),
            lambda: SharedDict.open(name, codec="raw"),
        ):
            with pytest.raises(error):
                attach()
    with SharedDict.open(name) as again:
        assert again == THERE


def test_a_table_of_an_older_version_is_refused_with_the_way_over(there: ANYTHING, name: str) -> None:
    there.close()
    message = (
        "the format version is 2, expected 3; save it with d.save of the older version that made "
        "it, unlink it, and load the file with SharedDict.load of this one"
    )
    with overwritten(name, 8, (2).to_bytes(8, "little")):
        with pytest.raises(IncompatibleFormatError, match=re.escape(message)):
            SharedDict.open(name)


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 8192])
def test_a_segment_that_was_cut_off_is_not_opened(name: str, length: int) -> None:
    SharedDict.create(name, capacity=10).close()
    os.truncate(segment(name), length)
    for read_only in (False, True):
        with pytest.raises((IncompatibleFormatError, CorruptedError)):
            SharedDict.open(name, read_only=read_only)


def test_a_file_that_is_no_segment_is_not_opened(name: str) -> None:
    segment(name).write_bytes(random.Random(7).randbytes(100_000))
    segment(name).chmod(0o600)
    with pytest.raises(IncompatibleFormatError):
        SharedDict.open(name)
    with pytest.raises(IncompatibleFormatError):
        SharedDict(name=name)
