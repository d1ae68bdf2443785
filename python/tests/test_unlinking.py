"""Does a named table live until it is unlinked, and does a handle tell when it was?"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

from shmtable import NotFoundError, ReadOnlyError, SharedDict, tables

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


def test_a_named_table_lives_until_unlink(name: str) -> None:
    code = f"""
from shmtable import SharedDict
with SharedDict(name={name!r}, capacity=10) as d:
    print(d.add('runs'))
"""
    assert [workers.run(code) for _ in range(3)] == ["1\n", "2\n", "3\n"]
    assert workers.exists(name)
    SharedDict.unlink(name)
    assert not workers.exists(name)
    assert workers.run(code) == "1\n"


@pytest.mark.parametrize(
    "end",
    ["", "sys.exit(3)", "raise ValueError", "del d", "os.kill(os.getpid(), 9)", "1 / 0", "d.close()"],
)
def test_no_end_of_a_program_removes_a_named_table(name: str, end: str) -> None:
    workers.ended(
        workers.start(
            f"import os, sys\nfrom shmtable import SharedDict\n"
            f"d = SharedDict({{'a': 1}}, name={name!r}, capacity=10)\n{end}"
        )
    )
    with SharedDict.open(name) as d:
        assert d.copy() == {"a": 1}


@pytest.mark.parametrize("way", ["of the handle", "by the name"])
def test_whoever_has_a_table_open_goes_on_after_unlink(name: str, way: str) -> None:
    with SharedDict.create(name, capacity=10) as d, SharedDict.open(name) as other:
        if way == "of the handle":
            d.unlink()
        else:
            SharedDict.unlink(name)
        assert not workers.exists(name)
        with pytest.raises(NotFoundError):
            SharedDict.open(name)
        other["a"] = 1
        assert d["a"] == 1
        # The name is free for a table of its own.
        with SharedDict.create(name, capacity=10) as new:
            assert "a" not in new
            new["a"] = 2
            assert d["a"] == 1


def test_unlinking_twice_is_a_file_not_found_error(name: str) -> None:
    with SharedDict.create(name, capacity=10) as d:
        d.unlink()
        with pytest.raises(FileNotFoundError):
            d.unlink()
        with pytest.raises(FileNotFoundError):
            SharedDict.unlink(name)


def test_an_anonymous_table_may_be_unlinked_early() -> None:
    with SharedDict({"a": 1}, capacity=10) as d, SharedDict.open(d.name) as other:
        d.unlink()
        assert not workers.exists(d.name)
        other["b"] = 2
        assert d.copy() == {"a": 1, "b": 2}


def test_closing_an_unlinked_anonymous_table_leaves_one_that_took_its_name() -> None:
    d = SharedDict(capacity=10)
    name = d.name
    d.unlink()
    d.close()
    with SharedDict.create(name, capacity=10) as taken:
        gc.collect()
        assert workers.exists(name)
        taken.unlink()


def test_tables_lists_named_and_anonymous_tables(name: str) -> None:
    with SharedDict.create(name, capacity=10), SharedDict(capacity=10) as anonymous:
        assert {name, anonymous.name} <= set(tables())
        assert all(isinstance(found, str) for found in tables())
        also = workers.run("import shmtable; print(*shmtable.tables(), sep='\\n')").splitlines()
        assert {name, anonymous.name} <= set(also)
    assert name in tables()
    assert anonymous.closed
    SharedDict.unlink(name)
    assert name not in tables()


def test_tables_does_not_list_what_is_gone() -> None:
    with SharedDict(capacity=10) as d:
        name = d.name
        assert name in tables()
    assert name not in tables()


def test_a_worker_sees_that_its_table_was_removed_and_made_anew(name: str) -> None:
    with SharedDict(name=name, capacity=10) as old:
        assert not old.unlinked

        def work() -> None:
            old["ready"] = True
            old.wait("go", workers.GUARD)
            assert old.unlinked
            with SharedDict.open(name) as new:
                assert not new.unlinked
                new["worker"] = True

        worker = workers.fork(work)
        old.wait("ready", workers.GUARD)
        SharedDict.unlink(name)
        assert old.unlinked
        with SharedDict.create(name, capacity=10) as new:
            assert old.unlinked
            assert not new.unlinked
            old["go"] = True
            workers.all_well([worker])
            assert new.copy() == {"worker": True}


def test_an_anonymous_table_is_unlinked_when_its_creator_closed_it() -> None:
    with SharedDict(capacity=10) as created:
        other = SharedDict.open(created.name)
        assert not other.unlinked
    with other:
        assert other.unlinked


def test_a_handle_whose_table_was_replaced_does_not_unlink_the_new_one(name: str) -> None:
    with SharedDict.create(name, capacity=10) as old:
        with SharedDict.create(name, capacity=10, replace=True) as new:
            with pytest.raises(NotFoundError, match="no longer leads to this handle's table"):
                old.unlink()
            assert not new.unlinked
            assert workers.exists(name)
            new.unlink()
        assert not workers.exists(name)


def test_by_its_name_whatever_table_has_it_is_unlinked(name: str) -> None:
    with SharedDict.create(name, capacity=10), SharedDict.create(name, capacity=10, replace=True) as new:
        SharedDict.unlink(name)
        assert new.unlinked


def test_a_read_only_handle_does_not_unlink_its_table(name: str) -> None:
    with SharedDict.create(name, capacity=10) as d, SharedDict.open(name, read_only=True) as reader:
        with pytest.raises(ReadOnlyError):
            reader.unlink()
        assert not d.unlinked
        SharedDict.unlink(reader.name)
        assert d.unlinked
