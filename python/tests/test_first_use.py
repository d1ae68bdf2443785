"""Does unpickling open nothing, and does the first use say what is wrong?

A pool's worker that raises while it loads a task loses the task, and the caller waits for
its result forever. So an error of opening must be raised in the user's function.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shmtable import (
    ClosedError,
    NotFoundError,
    SharedDict,
    TooManyParticipantsError,
)

sys.path.insert(0, str(Path(__file__).parent))
import workers
from workers import ANYTHING, unpickled



def gone() -> ANYTHING:
    """A handle that was unpickled, and whose table is gone."""
    with SharedDict({"a": 1}, capacity=10) as d:
        return unpickled(d)


def descriptors() -> list[str]:
    """The segments that this process has open."""
    folder = "/proc/self/fd"
    paths = [os.path.join(folder, number) for number in os.listdir(folder)]
    return [os.readlink(path) for path in paths if os.path.lexists(path)]


# What needs no open table


def test_unpickling_opens_nothing_and_the_first_use_opens_once(name: str) -> None:
    with SharedDict({"a": 1}, name=name, capacity=10) as d:
        pickled = pickle.dumps(d)
    before = sorted(descriptors())
    other = pickle.loads(pickled)
    assert sorted(descriptors()) == before
    assert other["a"] == 1
    opened = sorted(descriptors())
    assert opened != before
    other["b"] = 2
    assert other.copy() == {"a": 1, "b": 2}
    assert sorted(descriptors()) == opened
    other.close()
    assert sorted(descriptors()) == before


def test_a_first_use_without_a_place_says_so_and_the_next_one_tries_again(name: str) -> None:
    d = SharedDict({"a": 1}, name=name, capacity=10, max_participants=1)
    told, tell = os.pipe()
    heard, hear = os.pipe()

    def child() -> None:
        others = [unpickled(d) for _ in range(10)]
        with pytest.raises(TooManyParticipantsError):
            others[0]["b"] = 2
        os.write(tell, b"!")
        os.read(heard, 1)
        for other in others:
            other["b"] = 3
        assert d.stats()["participants"] == 1

    pid = workers.fork(child)
    assert os.read(told, 1) == b"!"
    assert d.stats()["participants"] == 1
    d.close()
    os.write(hear, b"!")
    workers.all_well([pid])
    for number in [told, tell, heard, hear]:
        os.close(number)
    with SharedDict.open(name) as again:
        assert again["b"] == 3


@pytest.mark.parametrize("read_only", [False, True])
def test_a_handle_tells_what_it_is_though_its_table_is_gone(name: str, read_only: bool) -> None:
    with SharedDict.create(name, capacity=10), SharedDict.open(name, read_only=read_only) as d:
        other = unpickled(d)
    SharedDict.unlink(name)
    assert other.name == name
    assert other.read_only is read_only
    assert other.closed is False
    assert repr(other) == f"<SharedDict that cannot be opened, name={name!r}: NotFoundError>"
    again = unpickled(other)
    assert (again.name, again.read_only, again.closed) == (name, read_only, False)


def test_a_handle_that_was_not_used_is_pickled_with_all_its_settings(name: str) -> None:
    with SharedDict.create(name, capacity=10, codec="msgpack", allow_pickle=True):
        with SharedDict.open(name, codec="raw") as raw:
            again = unpickled(unpickled(raw))
        with again:
            assert again.codec == "raw"


def test_a_handle_that_was_pickled_before_it_was_closed_is_not_pickled_again(name: str) -> None:
    with SharedDict.create(name, capacity=10) as d:
        other = unpickled(d)
        assert len(other) == 0
        for _ in range(2):
            assert unpickled(d).name == unpickled(other).name == name
    other.close()
    for handle in [d, other]:
        for _ in range(2):
            with pytest.raises(ClosedError):
                pickle.dumps(handle)


def test_a_handle_in_use_does_not_become_another_one() -> None:
    with SharedDict({"a": 1}, capacity=10) as d, SharedDict({"b": 2}, capacity=10) as other:
        state = other.__reduce__()[2]
        for handle in [d, unpickled(d)]:
            with pytest.raises(TypeError, match="can't take the state of another one"):
                handle.__setstate__(state)
            assert handle.copy() == {"a": 1}


def test_a_handle_that_was_not_used_can_be_closed() -> None:
    with SharedDict(capacity=10) as d:
        other = unpickled(d)
        other.close()
        assert other.closed
        assert repr(other) == "<closed SharedDict>"
        with pytest.raises(ClosedError, match="is closed"):
            len(other)


def test_a_handle_that_was_not_used_unlinks_its_table(name: str) -> None:
    with SharedDict.create(name, capacity=10) as d:
        unpickled(d).unlink()
        assert not workers.exists(name)


# What goes wrong at the first use

USES: dict[str, Callable[[ANYTHING], object]] = {
    "get": lambda d: d.get("a"),
    "[]": lambda d: d["a"],
    "store": lambda d: d.update(a=1),
    "len": len,
    "in": lambda d: "a" in d,
    "iter": list,
    "items": lambda d: list(d.items()),
    "copy": lambda d: d.copy(),
    "get_many": lambda d: d.get_many(["a"]),
    "wait": lambda d: d.wait("a", 0),
    "wait_any": lambda d: d.wait_any(["a"], 0),
    "watch": lambda d: d.watch("a"),
    "add": lambda d: d.add("a"),
    "get_or_compute": lambda d: d.get_or_compute("a", int),
    "edit": lambda d: d.edit("a"),
    "codec": lambda d: d.codec,
    "capacity": lambda d: d.capacity,
    "allow_pickle": lambda d: d.allow_pickle,
    "stats": lambda d: d.stats(),
    "==": lambda d: d == {},
}


@pytest.mark.parametrize("use", USES)
def test_each_use_of_a_table_that_is_gone_says_so_again(use: str) -> None:
    d = gone()
    for _ in range(2):
        with pytest.raises(NotFoundError, match=f'no table named "{d.name}"'):
            USES[use](d)


def test_an_anonymous_table_that_is_gone_says_that_its_creator_ended_or_closed_it() -> None:
    with pytest.raises(NotFoundError, match="its creator closed it or ended; keep it open") as raised:
        len(gone())
    assert "create" not in str(raised.value).replace("creator", "")


def test_the_first_use_works_once_the_table_is_there(name: str) -> None:
    with SharedDict.create(name, capacity=10) as d:
        other = unpickled(d)
        d.unlink()
    with pytest.raises(NotFoundError):
        len(other)
    with SharedDict({"a": 1}, name=name, capacity=10):
        assert other["a"] == 1
        other.close()


def test_a_handle_is_opened_once_by_threads_that_use_it_first() -> None:
    # Two places, so that a second opening would find none.
    with SharedDict({"a": 1}, capacity=10, max_participants=2) as d:
        for _ in range(50):
            other = unpickled(d)
            workers.together(*[lambda other=other: other.add("a") for _ in range(4)])
            other.close()
        assert d["a"] == 201


def test_a_child_opens_what_another_thread_was_opening_when_it_was_forked() -> None:
    with SharedDict({"a": 1}, capacity=10) as d:
        ended = threading.Event()
        handles = [unpickled(d)]

        def use() -> None:
            while not ended.is_set():
                handles.append(unpickled(d))
                handles[-1]["a"]
                handles.pop(0).close()

        thread = threading.Thread(target=use)
        thread.start()
        try:
            for _ in range(30):
                workers.all_well([workers.fork(lambda: handles[-1].get("a"))])
        finally:
            ended.set()
            thread.join()


# Through pools


def first(handles: list[ANYTHING]) -> int:
    return handles[0].add("count")


def count_all(handles: list[ANYTHING]) -> None:
    for d in handles:
        d.add("count")


def own() -> ANYTHING:
    return SharedDict({"mine": os.getpid()}, capacity=10)


def test_a_pool_takes_more_handles_than_there_are_places(context: Any) -> None:
    with (
        SharedDict(capacity=10, max_participants=4) as d,
        context.Pool(2) as pool,
    ):
        sums = pool.map(first, [[unpickled(d) for _ in range(8)] for _ in range(10)], chunksize=1)
        assert sorted(sums) == list(range(1, 11))


def test_a_pool_tells_that_there_is_no_place(context: Any) -> None:
    with (
        SharedDict(capacity=10, max_participants=1) as d,
        context.Pool(2) as pool,
    ):
        with pytest.raises(TooManyParticipantsError, match="max_participants"):
            pool.apply(count_all, ([unpickled(d)],))


def test_an_executor_takes_more_handles_than_there_are_places(context: Any) -> None:
    with (
        SharedDict(capacity=10, max_participants=4) as d,
        ProcessPoolExecutor(2, mp_context=context) as executor,
    ):
        handles = [unpickled(d) for _ in range(8)]
        assert executor.submit(first, handles).result(workers.GUARD) == 1
        assert executor.submit(count_all, handles).result(workers.GUARD) is None
        assert d["count"] == 9


def test_an_executor_tells_that_there_is_no_place_and_is_not_broken(context: Any) -> None:
    with (
        SharedDict(capacity=10, max_participants=1) as d,
        ProcessPoolExecutor(1, mp_context=context) as executor,
    ):
        with pytest.raises(TooManyParticipantsError):
            executor.submit(first, [unpickled(d)]).result(workers.GUARD)
        assert executor.submit(len, {}).result(workers.GUARD) == 0


def test_a_pool_raises_that_a_table_is_gone(context: Any) -> None:
    with SharedDict(capacity=10) as d, context.Pool(2) as pool:
        SharedDict.unlink(d.name)
        with pytest.raises(NotFoundError):
            pool.apply_async(len, (d,)).get(workers.GUARD)


def test_an_executor_raises_that_a_table_is_gone(context: Any) -> None:
    executor: Executor
    with SharedDict(capacity=10) as d, ProcessPoolExecutor(1, mp_context=context) as executor:
        SharedDict.unlink(d.name)
        with pytest.raises(NotFoundError):
            executor.submit(len, d).result(workers.GUARD)


def test_a_pool_gives_back_a_table_whose_worker_ended(context: Any) -> None:
    with context.Pool(1, maxtasksperchild=1) as pool:
        results = [pool.apply_async(own) for _ in range(2)]
        returned = [result.get(workers.GUARD) for result in results]
        pool.close()
        pool.join()
    # The table went with the worker that made it; nothing hung, and the use says so.
    for d in returned:
        with pytest.raises(NotFoundError, match="its creator closed it or ended"):
            len(d)


def test_a_queue_gives_more_handles_than_there_are_places(context: Any) -> None:
    with SharedDict(capacity=10, max_participants=4) as d:
        queue, answers = context.Queue(), context.Queue()
        child = context.Process(target=keep_all, args=(queue, answers))
        child.start()
        for _ in range(8):
            queue.put(d)
        queue.put(None)
        assert answers.get(timeout=workers.GUARD) == 8
        workers.joined(child)
        assert d["count"] == 1


def keep_all(queue: Any, answers: Any) -> None:
    kept = list(iter(lambda: queue.get(timeout=workers.GUARD), None))
    kept[-1].add("count")
    answers.put(len(kept))
