"""Does `create(replace=True)` give a fresh table under a name that was in use?"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest

from shmtable import AlreadyExistsError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers


def test_the_new_table_is_empty_and_has_the_sizes_that_were_asked_for(name: str) -> None:
    with SharedDict.create(name, capacity=100) as old:
        old["a"] = 1
        with SharedDict.create(name, replace=True, capacity=5000, codec="json") as new:
            assert (new.copy(), new.capacity, new.codec) == ({}, 5000, "json")
        with SharedDict.open(name) as opened:
            assert opened.capacity == 5000


def test_handles_of_the_old_table_go_on_among_themselves(name: str) -> None:
    with SharedDict.create(name, capacity=100) as old, SharedDict.open(name) as other:
        with SharedDict.create(name, replace=True, capacity=100) as new:
            old["a"] = 1
            assert other["a"] == 1
            assert "a" not in new


def test_a_handle_that_was_not_used_yet_opens_the_new_table(name: str) -> None:
    with SharedDict.create(name, capacity=100) as old:
        old["a"] = "old"
        handle = pickle.loads(pickle.dumps(old))
        with SharedDict.create(name, replace=True, capacity=100) as new:
            new["a"] = "new"
            assert handle["a"] == "new"
            handle.close()


def test_a_table_is_created_where_there_was_none(name: str) -> None:
    with SharedDict.create(name, replace=True, capacity=100):
        assert workers.exists(name)


def test_an_existing_table_is_an_error_that_names_replace(name: str) -> None:
    with SharedDict.create(name, capacity=100):
        with pytest.raises(AlreadyExistsError, match="create it with replace=True"):
            SharedDict.create(name, capacity=100)


def test_what_is_no_table_is_not_replaced(name: str) -> None:
    path = Path(f"/dev/shm/shmtable.{name}")
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(ValueError):
        SharedDict.create(name, replace=True, capacity=100)
    assert path.read_bytes() == b"something else" * 1000
    os.unlink(path)
