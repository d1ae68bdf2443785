"""Does `table_infos` tell what the tables of the machine hold, as the command `shmtable ls` does?"""

from __future__ import annotations

import datetime
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import (
    IncompatibleFormatError,
    InvalidOptionError,
    SharedDict,
    TableInfo,
    WrongOwnerError,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers

STRANGER = 65534
PROGRAM = """
from shmtable import SharedDict
import os, signal
d = SharedDict({1: 2, 3: 4}, capacity=10)
print(d.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def info_of(name: str, **options: Any) -> TableInfo:
    (info,) = [info for info in shmtable.table_infos(**options) if info.name == name]
    return info


def test_it_tells_of_a_table_what_its_handle_and_the_command_tell(there: SharedDict[Any, Any]) -> None:
    info = info_of(there.name)
    stats = there.stats()
    assert info.entries == len(there)
    assert info.memory_bytes == stats["memory_bytes"]
    assert info.owner == os.geteuid()
    assert info.created is not None and info.age is not None
    assert round(info.created.timestamp() * 1000) == round(stats["created"] / 1_000_000)
    assert datetime.timedelta(0) <= info.age < datetime.timedelta(hours=1)
    assert (info.orphan, info.error) == (False, None)
    listed = subprocess.check_output([sys.executable, "-m", "shmtable", "ls", "--json"])
    (row,) = [row for row in json.loads(listed)["tables"] if row["name"] == there.name]
    assert (row["entries"], row["memory_bytes"], row["uid"]) == info[1:4]


def test_every_table_has_one_in_the_order_of_the_names(there: SharedDict[Any, Any]) -> None:
    with SharedDict() as d:
        names = [info.name for info in shmtable.table_infos()]
        assert {there.name, d.name} <= set(names)
        assert names == sorted(set(names))


def test_inspecting_is_not_using(d: SharedDict[Any, Any]) -> None:
    name = d.name
    before = d.stats()["participants"]
    infos = shmtable.table_infos()
    assert d.stats()["participants"] == before
    d.close()
    assert name in {info.name for info in infos}
    assert name not in shmtable.tables()


def test_an_orphan_is_told() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    name = ended.stdout.strip()
    assert info_of(name)[1] == 2
    assert info_of(name).orphan
    assert name in shmtable.gc()
    assert name not in {info.name for info in shmtable.table_infos()}


def test_a_file_that_is_no_table_has_an_error_in_place_of_figures(name: str) -> None:
    file = Path(f"/dev/shm/shmtable.{name}")
    for content in (b"", b"short", bytes(1 << 16)):
        file.write_bytes(content)
        try:
            info = info_of(name)
        finally:
            file.unlink()
        assert info == TableInfo(name, None, None, None, None, False, info.error)
        assert info.age is None
        assert isinstance(info.error, IncompatibleFormatError)


if os.geteuid() == 0:

    def test_a_table_of_another_user_is_opened_if_the_user_is_trusted(
        there: SharedDict[Any, Any],
    ) -> None:
        os.chown(f"/dev/shm/shmtable.{there.name}", STRANGER, -1)
        info = info_of(there.name)
        assert info[:6] == (there.name, None, None, STRANGER, None, False)
        assert isinstance(info.error, WrongOwnerError)
        for trust in ("anyone", [STRANGER]):
            info = info_of(there.name, trust=trust)
            assert (info.entries, info.owner, info.error) == (len(there), STRANGER, None)


def test_whom_to_trust_is_checked() -> None:
    with pytest.raises(InvalidOptionError, match="trust"):
        shmtable.table_infos(trust="everyone")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        shmtable.table_infos(trust=5)  # type: ignore[arg-type]


def test_it_is_a_plain_value(there: SharedDict[Any, Any]) -> None:
    info = info_of(there.name)
    assert pickle.loads(pickle.dumps(info)) == info
    assert info._asdict()["name"] == there.name
    assert repr(info).startswith(f"TableInfo(name={there.name!r}, entries=5, ")
    with pytest.raises(AttributeError):
        info.entries = 7  # type: ignore[misc]
