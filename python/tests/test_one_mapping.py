"""Do all handles of a table in a process share one mapping and one participant?"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    CodecMismatchError,
    NotFoundError,
    ReadOnlyError,
    SharedDict,
    TooManyParticipantsError,
    TooSmallError,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers
from workers import ANYTHING, unpickled

SCALE = float(os.environ.get("SHMTABLE_TEST_SCALE", "1"))
# Handles for each worker, or tasks: enough that each with a slot of its own would need more.
MANY = int(300 * SCALE)
# Workers that are there at once. Starting 300 interpreters takes a minute.
WORKERS = 300 if SCALE >= 1 else 20


def segment(d: ANYTHING | str) -> int:
    """The inode of a table that still has its name."""
    name = d if isinstance(d, str) else d.name
    return os.stat(f"/dev/shm/shmtable.{name}").st_ino


def mapped() -> list[int]:
    """The inodes of all shared memory that this process has mapped, once for each mapping."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    shared = os.stat("/dev/shm").st_dev
    device = f"{os.major(shared):02x}:{os.minor(shared):02x}"
    return [int(fields[4]) for fields in lines if fields[3] == device]


def mappings(inode: int) -> int:
    """How often this process has mapped a segment."""
    return mapped().count(inode)


def descriptors() -> int:
    # Without those of handles that earlier tests left in cycles.
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def eventually(what: str, happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + workers.GUARD
    while not happens():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def in_turn(context: Any, *calls: tuple[Callable[..., Any], tuple[Any, ...]]) -> list[Any]:
    """What one worker answers to calls, one after the other."""
    with context.Pool(1) as pool:
        return [pool.apply_async(*call).get(workers.GUARD) for call in calls]


# In one process


def test_all_handles_of_a_table_share_a_mapping_and_a_participant(name: str) -> None:
    with SharedDict(name=name, capacity=10, max_participants=1) as d:
        before = descriptors()
        opened = [SharedDict.open(name) for _ in range(MANY)]
        opened += [SharedDict(name=name) for _ in range(MANY)]
        opened += [SharedDict.open(name, read_only=True) for _ in range(MANY)]
        opened += [unpickled(handle) for handle in opened]
        for number, handle in enumerate(opened):
            if not handle.read_only:
                handle[number % 10] = number
            assert handle[number % 10] == d[number % 10]
        assert d.stats()["participants"] == 1
        assert mappings(segment(name)) == 1
        assert descriptors() == before


def test_an_anonymous_table_is_shared_with_its_unpickled_handles() -> None:
    with SharedDict({"a": 1}, capacity=10, max_participants=1) as d:
        others = [unpickled(d) for _ in range(MANY)]
        for other in others:
            other.add("a")
        assert d["a"] == 1 + MANY
        assert mappings(segment(d)) == 1


def test_a_table_is_unmapped_with_its_last_handle(name: str) -> None:
    first = SharedDict(name=name, capacity=10)
    inode = segment(name)
    second, third = SharedDict.open(name), unpickled(first)
    third["a"] = 1
    first.close()
    assert second["a"] == 1
    second.close()
    assert third["a"] == 1
    assert mappings(inode) == 1
    third.close()
    assert mappings(inode) == 0


def test_a_handle_that_was_dropped_is_unmapped_at_once(name: str) -> None:
    d = SharedDict(name=name, capacity=10)
    inode = segment(name)
    other = unpickled(d)
    assert len(other) == 0
    del d
    assert mappings(inode) == 1
    del other
    gc.collect()
    assert mappings(inode) == 0


def test_the_creator_removes_its_table_though_others_here_have_it_open() -> None:
    with SharedDict({"a": 1}, capacity=10) as d:
        other = unpickled(d)
        assert other["a"] == 1
        assert workers.exists(d.name)
    assert not workers.exists(other.name)
    other["a"] = 2
    assert other["a"] == 2
    with pytest.raises(NotFoundError):
        SharedDict.open(other.name)


def test_a_dropped_creator_removes_its_table_though_others_here_have_it_open() -> None:
    name = only_others().name
    assert not workers.exists(name)


def only_others() -> ANYTHING:
    """A handle of a table whose creator's handle is gone."""
    d = SharedDict({"a": 1}, capacity=10)
    other = SharedDict.open(d.name)
    del d
    gc.collect()
    return other


@pytest.mark.parametrize("first", [True, False])
def test_a_read_only_handle_writes_nothing_beside_one_that_writes(name: str, first: bool) -> None:
    with SharedDict({"a": 1}, name=name, capacity=10):
        pass
    with (
        SharedDict.open(name, read_only=first) as one,
        SharedDict.open(name, read_only=not first) as other,
    ):
        reader, writer = (one, other) if first else (other, one)
        writer["b"] = 2
        assert reader["b"] == 2
        for handle in [reader, unpickled(reader)]:
            assert handle.read_only
            with pytest.raises(ReadOnlyError):
                handle["a"] = 2
            with pytest.raises(ReadOnlyError):
                handle.clear()
        assert not writer.read_only
        assert writer.copy() == {"a": 1, "b": 2}


def test_handles_keep_their_codecs_and_pickles(name: str) -> None:
    with SharedDict({"a": 1}, name=name, capacity=10) as d:
        raw = SharedDict.open(name, codec="raw")
        cautious = SharedDict.open(name, allow_pickle=False)
        assert raw[b"\xa1a"] == b"\x01"
        assert (d.codec, raw.codec) == ("pickle", "raw")
        assert (d.allow_pickle, cautious.allow_pickle) == (True, False)
        d["set"] = {1}
        assert d["set"] == {1}
        with pytest.raises(ValueError, match="pickle"):
            cautious["set"]
        with pytest.raises(CodecMismatchError):
            SharedDict.open(name, codec="json")
        assert mappings(segment(name)) == 1


def test_sizes_that_are_not_there_are_refused_here_too(name: str) -> None:
    with SharedDict(name=name, capacity=10):
        with pytest.raises(TooSmallError):
            SharedDict(name=name, capacity=1000)
        assert mappings(segment(name)) == 1


def test_a_handle_with_another_lock_timeout_has_a_mapping_of_its_own(name: str) -> None:
    with (
        SharedDict({"a": 1}, name=name, capacity=10),
        SharedDict.open(name, lock_timeout=1) as patient,
        SharedDict.open(name, lock_timeout=1) as other,
    ):
        patient["a"] = 2
        assert other["a"] == 2
        assert mappings(segment(name)) == 2


@pytest.mark.parametrize("replace", ["unlink", "replace"])
def test_a_name_leads_to_the_table_that_has_it_now(name: str, replace: str) -> None:
    old = SharedDict({"old": 1}, name=name, capacity=10)
    inode = segment(name)
    if replace == "unlink":
        old.unlink()
        new = SharedDict({"new": 1}, name=name, capacity=10)
    else:
        new = SharedDict.create(name, capacity=10, replace=True)
        new["new"] = 1
    with old, new, SharedDict.open(name) as opened, unpickled(old) as again:
        for handle in [opened, again]:
            assert handle.copy() == {"new": 1}
        assert old.copy() == {"old": 1}
        assert old.unlinked
        assert mappings(inode) == 1
        assert mappings(segment(name)) == 1


def test_threads_that_open_a_table_at_once_share_it(name: str) -> None:
    with SharedDict(name=name, capacity=10):
        pass
    for _ in range(300):
        handles: list[ANYTHING] = []

        def use(handles: list[ANYTHING] = handles) -> None:
            handles.append(SharedDict.open(name))
            handles[-1].add("count")

        workers.together(*[use for _ in range(8)])
        assert mappings(segment(name)) == 1
        assert handles[0].stats()["participants"] == 1
        for handle in handles:
            handle.close()
    with SharedDict.open(name) as d:
        assert d["count"] == 2400


# In children


def test_a_forked_child_has_a_slot_of_its_own_and_no_further_mapping() -> None:
    with SharedDict({"a": 1}, capacity=10, max_participants=2) as d:

        def child() -> None:
            handles = [unpickled(d) for _ in range(20)]
            for handle in handles:
                handle.add("a")
            assert d.add("a") == 22
            assert d.stats()["participants"] == 2
            assert mappings(segment(d)) == 1

        workers.all_well([workers.fork(child)])
        assert d["a"] == 22


def test_a_child_without_a_slot_is_told_at_the_first_use() -> None:
    with SharedDict({"a": 1}, capacity=10, max_participants=1) as d:

        def child() -> None:
            with pytest.raises(TooManyParticipantsError, match="max_participants"):
                len(unpickled(d))
            # It reads by the handle that it inherited.
            assert d["a"] == 1

        workers.all_well([workers.fork(child)])


def test_children_forked_while_threads_open_tables_open_theirs() -> None:
    with SharedDict({"a": 1}, capacity=10) as d:

        def churn() -> None:
            for _ in range(300):
                with SharedDict(capacity=10):
                    unpickled(d)["a"]

        def child() -> None:
            assert unpickled(d)["a"] == 1
            with SharedDict({"b": 1}, capacity=10) as mine:
                assert unpickled(mine)["b"] == 1

        def forks() -> None:
            for _ in range(15):
                workers.all_well([workers.fork(child)])

        workers.together(churn, churn, forks)


# In workers, which keep a table for the next task


def use(d: ANYTHING) -> None:
    d.add("tasks")


def use_and_close(d: ANYTHING) -> None:
    with d:
        d.add("tasks")


def mapped_until(inode: int, seconds: float) -> tuple[bool, bool]:
    """Whether this process has mapped a segment, and whether it has not after a while."""
    now = mappings(inode) > 0
    deadline = time.monotonic() + seconds
    while mappings(inode) and time.monotonic() < deadline:
        time.sleep(0.01)
    return now, mappings(inode) == 0


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_keeps_a_table_for_the_next_task_and_then_lets_it_go(method: str) -> None:
    with SharedDict(capacity=10) as d:
        calls = [(use, (d,)), (mappings, (segment(d),)), (use, (d,)), (mappings, (segment(d),))]
        calls.append((mapped_until, (segment(d), workers.GUARD)))
        answers = in_turn(workers.context(method), *calls)
        assert answers[1] == answers[3] == 1
        assert answers[4] == (True, True)
        assert d["tasks"] == 2


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_unmaps_at_once_what_a_task_closed(method: str) -> None:
    with SharedDict(capacity=10) as d:
        calls = [(use_and_close, (d,)), (mappings, (segment(d),))]
        assert in_turn(workers.context(method), *calls)[1] == 0


def test_a_worker_keeps_a_few_tables_alone() -> None:
    tables = [SharedDict(capacity=10) for _ in range(20)]
    try:
        with workers.context("spawn").Pool(1) as pool:
            for d in tables:
                pool.apply(use, (d,))
            kept = pool.apply(mapped)
        ours = {segment(d) for d in tables}
        assert len(ours.intersection(kept)) <= 8
    finally:
        for d in tables:
            d.close()


# What was told of a name a moment ago is asked again, unless nothing changed since long before.
@pytest.mark.parametrize("age", [0, 0.2])
def test_a_table_that_was_removed_is_not_found_in_a_worker_that_kept_it(
    name: str, age: float
) -> None:
    with workers.context("spawn").Pool(1) as pool:
        with SharedDict({"old": 1}, name=name, capacity=10) as d:
            time.sleep(age)
            for _ in range(3):
                assert pool.apply(dict, (d,)) == {"old": 1}
            d.unlink()
            with pytest.raises(NotFoundError):
                pool.apply(dict, (d,))
        with SharedDict({"new": 1}, name=name, capacity=10) as d:
            assert pool.apply(dict, (d,)) == {"new": 1}


@pytest.mark.parametrize("age", [0, 0.2])
def test_a_worker_that_kept_a_table_opens_the_one_that_replaced_it(name: str, age: float) -> None:
    old = SharedDict({"old": 1}, name=name, capacity=10)
    with workers.context("spawn").Pool(1) as pool, old:
        time.sleep(age)
        for _ in range(3):
            assert pool.apply(dict, (old,)) == {"old": 1}
        with SharedDict.create(name, capacity=10, replace=True) as new:
            new["new"] = 1
            assert pool.apply(dict, (old,)) == pool.apply(dict, (new,)) == {"new": 1}


def test_a_worker_that_ends_gives_its_slot_back(context: Any) -> None:
    with SharedDict(capacity=10, max_participants=2) as d:
        for _ in range(3):
            with context.Pool(1) as pool:
                pool.apply(use, (d,))
                pool.close()
                pool.join()
        eventually("the slots are free", lambda: d.stats()["participants"] == 1)
        assert d["tasks"] == 3
        assert d.check() == []


def test_workers_that_are_killed_while_they_keep_a_table_lose_nothing(context: Any) -> None:
    with SharedDict(capacity=10, max_participants=4) as d:
        for round in range(5):
            with ProcessPoolExecutor(2, mp_context=context) as executor:
                list(executor.map(use, [d] * 10))
                for pid in list(executor._processes):
                    os.kill(pid, signal.SIGKILL)
            assert d["tasks"] == 10 * (round + 1)
        eventually("the slots are free", lambda: d.stats()["participants"] == 1)
        assert d.check() == []
    assert not workers.exists(d.name)


def test_many_tasks_with_the_handle_all_give_their_results(context: Any) -> None:
    with SharedDict(capacity=10, max_participants=8) as d:
        with context.Pool(4) as pool:
            assert sorted(pool.map(add, [d] * MANY, chunksize=1)) == list(range(1, MANY + 1))
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            assert len(set(executor.map(add, [d] * MANY))) == MANY
        assert d["count"] == 2 * MANY


def add(d: ANYTHING) -> int:
    return d.add("count")


# Workers that are all there at once


@pytest.mark.parametrize("kind", ["Pool", "ProcessPoolExecutor"])
def test_many_workers_with_the_handle_in_their_tasks_all_give_their_results(
    context: Any, kind: str
) -> None:
    with SharedDict(capacity=10) as d:
        tasks = [(d, WORKERS, who) for who in range(WORKERS)]
        if kind == "Pool":
            with context.Pool(WORKERS) as pool:
                # One task each: a worker that had two would wait for itself.
                found = pool.starmap_async(workers.meet, tasks, chunksize=1).get(3 * workers.GUARD)
        else:
            with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
                results = [executor.submit(workers.meet, *task) for task in tasks]
                found = [result.result(3 * workers.GUARD) for result in results]
        assert [who for who, _ in found] == list(range(WORKERS))
        assert len({pid for _, pid in found}) == d["here"] == WORKERS
        eventually("the slots are free", lambda: d.stats()["participants"] == 1)
        assert d.check() == []
