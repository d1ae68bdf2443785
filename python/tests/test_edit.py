"""Does a value that is edited in place change only if no one else changed it?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    MISSING,
    ClosedError,
    ConflictError,
    Error,
    MissingKeyError,
    SharedDict,
    ValueSpaceFullError,
    ValueTypeError,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Refusal(Exception):
    pass


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json"])
def test_what_the_block_does_to_the_value_is_stored(new: NEW, codec: str) -> None:
    d = new({"k": {"names": ["ann"], "count": 1}}, codec=codec)
    with d.edit("k") as value:
        value["names"].append("ben")
        value["count"] += 1
        # Not before the end.
        assert d["k"] == {"names": ["ann"], "count": 1}
    assert d["k"] == {"names": ["ann", "ben"], "count": 2}


def test_objects_of_a_users_class_are_edited_too(d: ANYTHING) -> None:
    d["k"] = {1, 2}
    with d.edit("k") as value:
        value.discard(1)
    assert d["k"] == {2}


def test_a_block_that_raises_stores_nothing(d: ANYTHING) -> None:
    d["k"] = [1]
    with pytest.raises(Refusal), d.edit("k") as value:
        value.append(2)
        raise Refusal
    assert d["k"] == [1]


CHANGES: dict[str, Callable[[ANYTHING], object]] = {
    "another value": lambda d: d.__setitem__("k", [5]),
    "no value": lambda d: d.__delitem__("k"),
    "a change of the same kind": lambda d: d.update_value("k", lambda old: [*old, 1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_value_that_another_one_changed_is_a_conflict(name: str, change: str) -> None:
    with SharedDict.create(name, capacity=100) as d, SharedDict.open(name) as other:
        d["k"] = [0]
        with pytest.raises(ConflictError, match="the key 'k' .*nothing was stored; .*update_value"):
            with d.edit("k") as value:
                value.append(1)
                CHANGES[change](other)
                left = other.get("k", MISSING)
        assert d.get("k", MISSING) == left


def test_a_conflict_is_an_error_of_the_package_and_a_runtime_error() -> None:
    assert ConflictError.__bases__ == (Error, RuntimeError)


def test_an_exception_of_the_block_is_not_hidden_by_a_conflict(d: ANYTHING) -> None:
    d["k"] = [0]
    with pytest.raises(Refusal), d.edit("k"):
        d["k"] = [1]
        raise Refusal
    assert d["k"] == [1]


def test_stored_bytes_count_and_not_equality(d: ANYTHING) -> None:
    d["k"] = [1]
    with d.edit("k") as value:
        value.append(2)
        # Changed, and changed back.
        d["k"] = []
        d["k"] = [1]
    assert d["k"] == [1, 2]
    with pytest.raises(ConflictError), d.edit("k") as value:
        value.append(3)
        d["k"] = [1.0, 2.0]
    assert d["k"] == [1.0, 2.0]


def test_a_block_that_changes_nothing_still_says_whether_its_value_is_current(d: ANYTHING) -> None:
    d["k"] = [1]
    with d.edit("k"):
        pass
    assert d["k"] == [1]
    with pytest.raises(ConflictError), d.edit("k"):
        d["k"] = [2]
    assert d["k"] == [2]


def test_a_missing_key_raises_or_has_the_default(d: ANYTHING) -> None:
    with pytest.raises(MissingKeyError, match="'k'"), d.edit("k"):
        raise AssertionError("the block ran")
    with pytest.raises(KeyError), d.edit("k", default=MISSING):
        raise AssertionError("the block ran")
    default: list[int] = []
    for number in range(3):
        with d.edit("k", default=default) as value:
            assert value is not default
            value.append(number)
    assert (d["k"], default) == ([0, 1, 2], [])


def test_a_default_is_as_it_would_be_read(new: NEW) -> None:
    with new(codec="msgpack").edit("k", (1, [2])) as value:
        assert value == [1, [2]]


def test_a_key_that_another_one_inserts_is_a_conflict_with_the_default(d: ANYTHING) -> None:
    with pytest.raises(ConflictError), d.edit("k", []) as value:
        value.append(1)
        d["k"] = []
    assert d["k"] == []


@pytest.mark.parametrize("value", [None, True, 1, 1 << 70, 0.5, 1j, "text", b"bytes"])
def test_what_cannot_change_in_place_is_refused(d: ANYTHING, value: Any) -> None:
    d["k"] = value
    with pytest.raises(ValueTypeError, match="the key 'k' is an? .*; use update_value"), d.edit("k"):
        raise AssertionError("the block ran")
    with pytest.raises(TypeError), d.edit("other", value):
        raise AssertionError("the block ran")
    assert d.copy() == {"k": value}


def test_a_tuple_may_hold_what_changes(d: ANYTHING) -> None:
    d["k"] = ([1], [2])
    with d.edit("k") as (left, right):
        left.append(right.pop())
    assert d["k"] == ([1, 2], [])


def test_the_result_of_edit_serves_again_and_within_itself(d: ANYTHING) -> None:
    d["k"] = [1]
    edit = d.edit("k")
    for number in (2, 3):
        with edit as value:
            value.append(number)
    assert d["k"] == [1, 2, 3]
    with pytest.raises(ConflictError), edit as outer:
        with edit as inner:
            inner.append(4)
        outer.append(5)
    assert d["k"] == [1, 2, 3, 4]


def test_a_handle_that_is_closed_in_the_block_stores_nothing(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d["k"] = [1]
        again = SharedDict.open(name)
        with pytest.raises(ClosedError), again.edit("k") as value:
            value.append(2)
            again.close()
        assert d["k"] == [1]


def test_a_value_that_can_no_longer_be_stored_leaves_the_old_one(d: ANYTHING) -> None:
    d["k"] = [1]
    with pytest.raises(ValueTypeError), d.edit("k") as value:
        value.append(lambda: 1)
    assert d["k"] == [1]


def test_a_value_without_room_leaves_the_old_one() -> None:
    with SharedDict[Any, Any]({"k": [0]}, capacity=10_000, value_space=1 << 20) as d:
        with pytest.raises(ValueSpaceFullError):
            d.update((("filler", number), "x" * 30_000) for number in range(9999))
        with pytest.raises(ValueSpaceFullError), d.edit("k") as value:
            value.append("x" * 60_000)
        assert d["k"] == [0]


def test_of_many_processes_that_edit_one_value_none_loses_a_change(name: str) -> None:
    processes, times = 4, 100

    def work(me: int) -> None:
        d["here", me] = True
        d.wait("go", workers.GUARD)
        for number in range(times):
            while True:
                try:
                    with d.edit("log") as log:
                        log.append((me, number))
                    break
                except ConflictError:
                    d.add("conflicts")

    with SharedDict.create(name, capacity=100) as d:
        d["log"] = []
        children = [workers.fork(work, me) for me in range(processes)]
        for me in range(processes):
            d.wait(("here", me), workers.GUARD)
        d["go"] = True
        workers.all_well(children)
        log = d["log"]
        assert len(log) == processes * times
        for me in range(processes):
            assert [number for who, number in log if who == me] == list(range(times))
