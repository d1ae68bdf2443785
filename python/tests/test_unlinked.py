"""Does a handle tell when its name leads to its table no more?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shmtable import NotFoundError, ReadOnlyError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers


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
            with pytest.raises(NotFoundError, match="leads to this handle's table no more"):
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
