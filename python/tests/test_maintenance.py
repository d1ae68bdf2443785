"""Do `check` and `repair` say what is wrong with a table, and set it right?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shmtable import ReadOnlyError, SharedDict

ANYTHING = SharedDict[Any, Any]


def damage(name: str, key: bytes) -> None:
    """Overwrites the lengths of key and value, which stand before the key in its record."""
    with open(Path("/dev/shm") / f"shmtable.{name}", "r+b") as segment:
        at = segment.read().index(key)
        segment.seek(at - 8)
        segment.write(b"\xff" * 8)


def test_a_table_without_damage_has_no_findings(d: ANYTHING) -> None:
    d.update((number, "x" * number) for number in range(300))
    d.remove_many(range(0, 300, 2))
    before = d.copy()
    assert d.check() == []
    assert d.repair() == []
    assert d.copy() == before


def test_damage_is_found_told_and_repaired(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d.update({"whole": "kept" * 20, "damaged": "lost" * 20})
        damage(name, b"\xa7damaged")
        found = d.check()
        assert found and all(isinstance(line, str) for line in found)
        done = d.repair()
        assert done and all(isinstance(line, str) for line in done)
        assert d.check() == []
        assert d["whole"] == "kept" * 20


def test_a_read_only_handle_neither_checks_nor_repairs(name: str) -> None:
    with SharedDict.create(name, capacity=10), SharedDict.open(name, read_only=True) as reader:
        for method in (reader.check, reader.repair):
            with pytest.raises(ReadOnlyError):
                method()
