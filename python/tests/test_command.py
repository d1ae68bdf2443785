"""Does the `shmtable` command find, show, change and move what Python stored?"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtable import CodecMismatchError, DamagedDumpError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]

# A key as it is typed, the key it is in Python, its value, and how that is shown.
ENTRIES: list[tuple[str, Any, Any, str]] = [
    ("text", "text", "grün", '"grün"'),
    ("grün", "grün", 1, "1"),
    ('"5"', "5", None, "null"),
    ("5", 5, 2.5, "2.5"),
    ("-7", -7, -(2**40), str(-(2**40))),
    ("1.5", 1.5, True, "true"),
    ("true", True, [1, "two", [None]], '[1,"two",[null]]'),
    ("null", None, {"a": 1}, '{"a":1}'),
    ('["a",1,[null,2.5]]', ("a", 1, (None, 2.5)), "", '""'),
    ('{"$bin":"6200"}', b"b\0", b"\xff", '{"$bin":"ff"}'),
    ('""', "", 0, "0"),
    ("set", "set", {1}, f"<pickle, {len(pickle.dumps({1}, 5))} bytes>"),
]


@pytest.fixture(scope="module")
def command() -> str:
    return workers.built("shmtable", "--package", "shmtable-cli")


@pytest.fixture
def d() -> Iterator[ANYTHING]:
    name = f"test-command-{uuid.uuid4()}"
    with ANYTHING.create(name, capacity=1000) as d:
        try:
            for _, key, value, _ in ENTRIES:
                d[key] = value
            yield d
        finally:
            SharedDict.unlink(name)


def run(command: str, *arguments: str, stdin: bytes = b"", status: int = 0) -> bytes:
    done = subprocess.run([command, *arguments], input=stdin, capture_output=True, timeout=workers.GUARD)
    assert done.returncode == status, done
    return done.stdout


@pytest.mark.parametrize(("typed", "shown"), [(typed, shown) for typed, _, _, shown in ENTRIES])
def test_a_key_is_typed_as_json_or_text_and_its_value_shown(
    command: str, d: ANYTHING, typed: str, shown: str
) -> None:
    assert run(command, "get", d.name, typed).decode() == f"{shown}\n"


def test_a_key_that_is_not_there_is_exit_status_1(command: str, d: ANYTHING) -> None:
    assert run(command, "get", d.name, "nobody", status=1) == b""


def test_what_the_command_stores_python_reads(command: str, d: ANYTHING) -> None:
    run(command, "put", d.name, "17", '{"n": [1, null]}')
    assert d[17] == {"n": [1, None]}
    run(command, "put", d.name, "plain", "hello")
    assert d["plain"] == "hello"
    assert run(command, "add", d.name, "hits", "4") == b"4\n"
    assert d.add("hits", 1) == 5
    run(command, "del", d.name, '["a",1,[null,2.5]]')
    assert ("a", 1, (None, 2.5)) not in d


def test_it_is_listed_with_its_entries(command: str, d: ANYTHING) -> None:
    tables = json.loads(run(command, "ls", "--json"))["tables"]
    (row,) = [row for row in tables if row["name"] == d.name]
    assert (row["entries"], row["capacity"]) == (len(d), 1000)


@pytest.mark.parametrize("form", ["jsonl", "binary"])
def test_a_dump_is_loaded_whole(command: str, d: ANYTHING, form: str) -> None:
    dump = run(command, "dump", d.name, "--format", form)
    copy = f"{d.name}-copy"
    try:
        run(command, "load", copy, "--create", stdin=dump)
        with ANYTHING.open(copy) as loaded:
            assert dict(loaded) == dict(d)
    finally:
        SharedDict.unlink(copy)


def test_what_python_saves_the_command_loads(command: str, d: ANYTHING, tmp_path: Path) -> None:
    file = tmp_path / "saved.dump"
    assert d.save(file) == len(ENTRIES)
    copy = f"{d.name}-copy"
    try:
        run(command, "load", copy, str(file), "--create")
        with ANYTHING.open(copy) as loaded:
            assert (dict(loaded), loaded.codec, loaded.capacity) == (dict(d), d.codec, d.capacity)
    finally:
        SharedDict.unlink(copy)


@pytest.mark.parametrize("more", [[], ["--snapshot"]], ids=["weakly", "snapshot"])
def test_what_the_command_dumps_python_loads(
    command: str, d: ANYTHING, tmp_path: Path, more: list[str]
) -> None:
    file = tmp_path / "dumped"
    run(command, "dump", d.name, "--format", "binary", "--output", str(file), *more)
    with ANYTHING.load(file) as loaded:
        assert (dict(loaded), loaded.codec, loaded.capacity) == (dict(d), d.codec, d.capacity)


def test_json_lines_are_for_the_command_alone(command: str, d: ANYTHING, tmp_path: Path) -> None:
    file = tmp_path / "dumped"
    run(command, "dump", d.name, "--output", str(file))
    with pytest.raises(DamagedDumpError, match="`shmtable load` loads JSON Lines"):
        SharedDict.load(file)


def test_a_table_of_another_language_is_loaded_as_bytes(command: str, tmp_path: Path) -> None:
    name, file = f"test-command-{uuid.uuid4()}", tmp_path / "dumped"
    run(command, "create", name, "--codec", "str/u64", "--capacity", "10")
    try:
        run(command, "put", name, "key", "7")
        run(command, "dump", name, "--format", "binary", "--output", str(file))
    finally:
        SharedDict.unlink(name)
    with pytest.raises(CodecMismatchError, match='codec="raw" loads it as plain bytes'):
        SharedDict.load(file)
    with ANYTHING.load(file, codec="raw") as raw:
        assert dict(raw) == {b"key": (7).to_bytes(8, "little")}
