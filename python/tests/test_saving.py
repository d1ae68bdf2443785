"""Does `load` make of a file the table that `save` wrote, and does a failure leave what was there?"""

from __future__ import annotations

import datetime
import os
import pickle
import re
import stat
import struct
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    AlreadyExistsError,
    CodecMismatchError,
    DamagedDumpError,
    InvalidOptionError,
    NotFoundError,
    ReadOnlyError,
    SharedDict,
    TableFullError,
    ValueTooLargeError,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]

PLAIN = {"a": 1, "b": [2, "three", None], "": "", "long": "x" * 100_000, "float": 2.5}
KEYS = {None: 0, 5: 1, 2.5: 2, ("a", (1, None)): 3, b"\0": 4, uuid.UUID(int=7): 5}
PICKLED = {"set": {1, 2}, "tuple": (1, (2,)), "date": datetime.date(2024, 2, 29)}
CONTENTS: dict[str, dict[Any, Any]] = {
    "pickle": PLAIN | KEYS | PICKLED,
    "msgpack": PLAIN | KEYS,
    "json": PLAIN | KEYS,
    "raw": {b"": b"", b"key": b"value", b"\xff": bytes(range(256))},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saved.dump"


@pytest.fixture
def load(path: Path) -> Iterator[Callable[..., ANYTHING]]:
    """Loads the file, and closes the tables after the test."""
    loaded: list[ANYTHING] = []

    def load(*arguments: Any, **options: Any) -> ANYTHING:
        loaded.append(ANYTHING.load(path, *arguments, **options))
        return loaded[-1]

    yield load
    for d in loaded:
        d.close()


LOAD = Callable[..., ANYTHING]


# What comes back.


@pytest.mark.parametrize("codec", CONTENTS)
def test_every_entry_comes_back_with_the_shape_of_the_table(
    new: NEW, path: Path, load: LOAD, codec: str
) -> None:
    d = new(CONTENTS[codec], codec=codec, value_space=1 << 20)
    assert d.save(path) == len(CONTENTS[codec])
    loaded = load()
    assert loaded == CONTENTS[codec]
    assert (loaded.codec, loaded.anonymous, loaded.read_only) == (codec, True, False)
    for figure in ("entries", "capacity", "value_space"):
        assert loaded.stats()[figure] == d.stats()[figure]
    loaded.clear()
    assert d == CONTENTS[codec]


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_tables_of_all_sizes_come_back(new: NEW, path: Path, load: LOAD, count: int) -> None:
    entries = {number: str(number) * (number % 50) for number in range(count)}
    d = new(entries, capacity=5000)
    assert d.save(path) == count
    assert load() == entries


def test_a_table_that_holds_more_than_its_capacity_comes_back(
    new: NEW, path: Path, load: LOAD
) -> None:
    d = new(capacity=4)
    with pytest.raises(TableFullError):
        d.update((number, number) for number in range(1000))
    assert len(d) > 4
    d.save(path)
    assert load() == d


def test_a_path_is_a_str_or_has_one(new: NEW, path: Path, load: LOAD) -> None:
    new({"a": 1}).save(str(path))
    assert load() == {"a": 1}
    with pytest.raises(TypeError):
        new().save(5)


def test_a_subclass_is_loaded_as_itself(new: NEW, path: Path) -> None:
    new({"a": 1}).save(path)
    with workers.Ledger.load(path) as ledger:
        assert type(ledger) is workers.Ledger
        assert ledger.pay("a", 2) == 3


def test_a_handle_that_was_not_used_yet_saves(new: NEW, path: Path, load: LOAD) -> None:
    d = new({"a": 1})
    with pickle.loads(pickle.dumps(d)) as unused:
        assert unused.save(path) == 1
    assert load() == d


def test_a_loaded_table_can_be_given_to_other_processes(new: NEW, path: Path, load: LOAD) -> None:
    new({"a": 1}, codec="json").save(path)
    loaded = load(capacity=2000)
    with pickle.loads(pickle.dumps(loaded)) as again:
        assert (again["a"], again.codec, again.capacity) == (1, "json", 2000)


def test_a_save_is_one_moment_of_what_threads_change(new: NEW, path: Path, load: LOAD) -> None:
    d = new({"a": 0, "b": 0, **{f"filler {number}": number for number in range(500)}})
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            d.add("a")
            d.add("b")

    def save() -> None:
        try:
            for _ in range(50):
                d.save(path)
                with ANYTHING.load(path) as saved:
                    assert saved["a"] - saved["b"] in (0, 1)
                    assert len(saved) == 502
        finally:
            over.set()

    workers.together(change, save)


# Names and options.


def test_a_table_gets_the_name(new: NEW, path: Path, name: str) -> None:
    new({"a": 1}).save(path)
    with ANYTHING.load(path, name) as d, SharedDict.open(name) as again:
        assert (d.name, d.anonymous) == (name, False)
        assert again == {"a": 1}


def test_a_name_that_is_taken_is_refused_or_replaced(new: NEW, path: Path, name: str) -> None:
    new({"a": 1}).save(path)
    with SharedDict.create(name, capacity=10) as old:
        old["old"] = 1
        with pytest.raises(AlreadyExistsError, match=name):
            SharedDict.load(path, name)
        assert SharedDict.open(name) == {"old": 1}
        with ANYTHING.load(path, name, replace=True) as d:
            assert SharedDict.open(name) == d == {"a": 1}
        assert old.unlinked
        assert old == {"old": 1}


def test_to_replace_needs_a_name(new: NEW, path: Path) -> None:
    new({"a": 1}).save(path)
    with pytest.raises(TypeError, match="the name is None"):
        SharedDict.load(path, replace=True)


def test_options_are_those_of_a_new_table(new: NEW, path: Path, name: str) -> None:
    new({"a": 1}).save(path)
    options: Any = {"capacity": 5000, "value_space": 3 << 20, "mode": 0o640, "max_participants": 7}
    with ANYTHING.load(path, name, **options) as d:
        stats = d.stats()
        shape = [stats[figure] for figure in ("capacity", "value_space", "max_participants")]
        assert shape == [5000, 3 << 20, 7]
        assert stat.S_IMODE(os.stat(f"/dev/shm/shmtable.{name}").st_mode) == 0o640
        assert d == {"a": 1}


def test_raw_gives_the_stored_bytes_and_other_codecs_must_be_the_files(
    new: NEW, path: Path, load: LOAD
) -> None:
    new({"a": 1}, codec="msgpack").save(path)
    assert load(codec="msgpack") == {"a": 1}
    raw = load(codec="raw")
    assert (raw.codec, dict(raw)) == ("raw", {b"\xa1a": b"\x01"})
    message = re.escape(f'the dump in "{path}" has codec="msgpack", and codec="json" was asked for')
    with pytest.raises(CodecMismatchError, match=message):
        load(codec="json")
    with pytest.raises(InvalidOptionError, match="allowed is one of"):
        load(codec="xml")


@pytest.mark.parametrize("options", [{"capacity": 0}, {"mode": 0o777}, {"max_participants": 5000}])
def test_an_option_that_no_table_has_is_refused(new: NEW, path: Path, options: Any) -> None:
    new().save(path)
    with pytest.raises(InvalidOptionError):
        SharedDict.load(path, **options)


def test_a_dump_with_more_entries_than_asked_for_is_refused(
    new: NEW, path: Path, name: str
) -> None:
    new({number: number for number in range(100)}).save(path)
    with pytest.raises(InvalidOptionError, match="capacity is 99, and the dump holds 100 entries"):
        SharedDict.load(path, name, capacity=99)
    assert not workers.exists(name)


def test_a_table_without_room_for_an_entry_is_removed_again(
    new: NEW, path: Path, name: str
) -> None:
    new({"small": 1, "large": "x" * 100_000}).save(path)
    for named in (name, None):
        with pytest.raises(ValueTooLargeError):
            SharedDict.load(path, named, value_space=10_000)
    assert not workers.exists(name)


# Progress.


@pytest.mark.parametrize("count", [0, 3, 5000])
def test_progress_is_told_up_to_the_end(new: NEW, path: Path, load: LOAD, count: int) -> None:
    d = new({number: number for number in range(count)}, capacity=5000)
    for call in (d.save, lambda path, progress: load(progress=progress)):
        told: list[tuple[int, int]] = []
        call(path, lambda done, total: told.append((done, total)))
        assert told == sorted(set(told))
        assert told[-1] == (count, count)
        assert {total for _, total in told} == {count}
        assert len(told) > 1 or count < 5000


def test_an_exception_of_progress_stops_a_save_and_the_old_file_stays(
    new: NEW, path: Path, load: LOAD
) -> None:
    d = new({"a": 1})
    d.save(path)
    d["a"] = 2
    with pytest.raises(ZeroDivisionError):
        d.save(path, lambda done, total: 1 // 0)
    assert os.listdir(path.parent) == [path.name]
    assert load() == {"a": 1}


def test_an_exception_of_progress_stops_a_load_and_removes_the_table(
    new: NEW, path: Path, name: str
) -> None:
    new({"a": 1}).save(path)
    for named in (name, None):
        with pytest.raises(ZeroDivisionError):
            SharedDict.load(path, named, progress=lambda done, total: 1 // 0)
    assert not workers.exists(name)


def test_a_function_may_use_the_table_that_is_saved(new: NEW, path: Path, load: LOAD) -> None:
    d = new({"a": 1})
    d.save(path, lambda done, total: d.update(later=done))
    assert load() == {"a": 1}
    assert d == {"a": 1, "later": 1}


# Files.


def test_a_file_is_its_owners_alone_and_a_replaced_one_keeps_its_mode(
    new: NEW, path: Path
) -> None:
    d = new({"a": 1})
    d.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    d.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == [path.name]


KILLED = """
import sys, time
from shmtable import SharedDict
d = SharedDict.open(sys.argv[1])
def stay(done, total):
    print(done, flush=True)
    time.sleep(600)
d.save(sys.argv[2], stay)
"""


def test_a_killed_save_leaves_the_old_file_and_the_next_one_cleans_up(
    new: NEW, path: Path, load: LOAD
) -> None:
    d = new({"a": 1})
    d.save(path)
    d["a"] = 2
    with workers.start(KILLED, d.name, str(path)) as saving:
        assert saving.stdout is not None
        assert saving.stdout.readline() == "1\n"
        # One that is still written is left alone.
        d["a"] = 3
        d.save(path)
        partial = set(os.listdir(path.parent)) - {path.name}
        assert len(partial) == 1
        saving.kill()
    assert set(os.listdir(path.parent)) == {path.name, *partial}
    assert load() == {"a": 3}
    d.save(path)
    assert os.listdir(path.parent) == [path.name]


def test_errors_of_the_system_are_pythons_own(new: NEW, tmp_path: Path) -> None:
    d = new({"a": 1})
    missing = tmp_path / "none" / "saved.dump"
    for call in (lambda: d.save(missing), lambda: SharedDict.load(missing)):
        with pytest.raises(FileNotFoundError) as raised:
            call()
        assert not isinstance(raised.value, NotFoundError)
        assert (raised.value.filename, raised.value.errno) == (str(missing), 2)
        assert str(raised.value) == f"[Errno 2] No such file or directory: '{missing}'"
    for call in (lambda: d.save(tmp_path), lambda: SharedDict.load(tmp_path)):
        with pytest.raises(IsADirectoryError):
            call()
    os.mkfifo(tmp_path / "pipe")
    for call in (lambda: d.save(tmp_path / "pipe"), lambda: SharedDict.load(tmp_path / "pipe")):
        with pytest.raises(OSError, match="Illegal seek"):
            call()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_read_only_handle_does_not_save(new: NEW, path: Path) -> None:
    with SharedDict.open(new().name, read_only=True) as reader:
        with pytest.raises(ReadOnlyError, match="saving takes the locks .* without read_only=True"):
            reader.save(path)
    assert not path.exists()


# Damage.


def refused(path: Path, name: str, message: str) -> None:
    """Loads a damaged file: no table is created, and none replaced."""
    with pytest.raises(DamagedDumpError, match=message):
        SharedDict.load(path)
    with pytest.raises(DamagedDumpError, match=message):
        SharedDict.load(path, name)
    assert not workers.exists(name)
    with SharedDict.create(name, capacity=10) as old:
        old["old"] = 1
        with pytest.raises(DamagedDumpError, match=message):
            SharedDict.load(path, name, replace=True)
        assert not old.unlinked
        assert old == {"old": 1}
        old.unlink()


def test_each_cut_file_is_refused_with_the_byte_where_it_ends(
    new: NEW, path: Path, name: str
) -> None:
    new({"a": 1, "b": "x" * 70_000, "c": 3}).save(path)
    whole = path.read_bytes()
    for length in (0, 7, 30, 51, 60, 1000, 70_000, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, name, rf"\(byte {length}\b.*\): it ends too early; load another copy")


def test_a_changed_byte_is_refused_with_the_block_and_both_checksums(
    new: NEW, path: Path, name: str
) -> None:
    new({"a": 1, "b": "x" * 70_000}).save(path)
    whole = bytearray(path.read_bytes())
    whole[1000] ^= 1
    path.write_bytes(whole)
    # As docs/dump.md has it: header, length of the block, its checksum.
    (written,) = struct.unpack_from("<Q", whole, 68)
    refused(
        path,
        name,
        rf"block 1 \(byte 60, entry 1\): its checksum is wrong: {written:016x} was expected, and "
        "its bytes have [0-9a-f]{16}; load another copy",
    )


def test_every_changed_byte_of_a_small_file_is_refused(new: NEW, path: Path) -> None:
    new({"a": 1, "b": [2]}).save(path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(DamagedDumpError):
            SharedDict.load(path)


def test_a_file_that_is_no_dump_is_refused_with_what_writes_one(path: Path, name: str) -> None:
    path.write_text('{"shmtable":"dump"}\n')
    refused(path, name, r"its header \(byte 0\): it does not begin like a dump; save\(\) and")


def test_a_file_of_a_later_version_is_refused(new: NEW, path: Path, name: str) -> None:
    new().save(path)
    content = bytearray(path.read_bytes())
    content[8] = 3
    path.write_bytes(content)
    refused(path, name, "its version is 3, not 2 or an older one; load it with the version that wrote it")
