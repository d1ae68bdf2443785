"""Does an anonymous table that was handed out and dropped live as long as it may be needed?"""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shmtable import NotFoundError, SharedDict, tables

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
JOBS = 30


@pytest.fixture(autouse=True)
def removes_what_stays() -> Iterator[None]:
    """Removes tables that stay, by right, until this process ends."""
    yield
    gc.collect()
    for name in leftovers():
        SharedDict.unlink(name)


def leftovers() -> list[str]:
    """The tables that this process handed out and forgot."""
    from shmtable import _leases

    return list(_leases._handed_out)


def small(who: int = 0) -> ANYTHING:
    return SharedDict({"given": who}, capacity=10)


def fill(d: ANYTHING) -> int:
    d["filled"] = True
    return d["given"]


def give_back(d: ANYTHING) -> ANYTHING:
    d["filled"] = True
    return d


_kept: list[ANYTHING] = []


def keep(d: ANYTHING) -> None:
    """Keeps a handle, and does not use it."""
    _kept.append(d)


def fill_kept(_: object) -> int:
    return fill(_kept[-1])


# Pools


def test_a_table_for_each_task_of_a_pool_is_gone_after_the_pool(context: Any) -> None:
    names = []
    with context.Pool(2) as pool:
        for who in range(JOBS):
            d = small(who)
            names.append(d.name)
            assert pool.apply(fill, (d,)) == who
            del d
    assert not set(names) & set(tables())
    assert not leftovers()


def test_tables_of_a_pool_are_gone_with_the_pool_that_nobody_closed() -> None:
    pool = workers.context("fork").Pool(2)
    given = [small(who) for who in range(3)]
    names = [d.name for d in given]
    assert pool.map(fill, given) == [0, 1, 2]
    del given
    pool.terminate()
    del pool
    gc.collect()
    # Nothing of this package was called meanwhile.
    assert not [name for name in names if workers.exists(name)]


def test_a_pool_that_was_closed_still_finds_the_tables_of_its_tasks(context: Any) -> None:
    with context.Pool(1) as pool:
        results = [pool.apply_async(fill, (small(who),)) for who in range(20)]
        pool.close()
        gc.collect()
        assert [result.get(workers.GUARD) for result in results] == list(range(20))
        pool.join()


def test_a_pool_worker_may_keep_a_handle_and_use_it_in_a_later_task(context: Any) -> None:
    with context.Pool(1) as pool:
        pool.apply(keep, (small(7),))
        gc.collect()
        assert tables()
        assert pool.apply(fill_kept, (None,)) == 7


def test_a_table_that_a_task_gives_back_lives_with_the_handle_that_comes_back(
    context: Any,
) -> None:
    with context.Pool(2) as pool:
        results = pool.map(give_back, [small(who) for who in range(4)])
        pool.close()
        pool.join()
    gc.collect()
    assert {d.name for d in results} <= set(tables())
    assert sorted(d["given"] for d in results) == [0, 1, 2, 3]
    assert all(d["filled"] for d in results)
    names = {d.name for d in results}
    del results
    gc.collect()
    assert not names & set(tables())


def test_a_task_that_fails_leaves_no_table_after_the_pool() -> None:
    with workers.context("fork").Pool(1) as pool:
        d = small()
        name = d.name
        result = pool.apply_async(fill_missing, (d,))
        del d
        result.wait(workers.GUARD)
        assert not result.successful()
    assert name not in tables()


def test_a_child_that_ended_loses_its_table_while_a_pool_gets_another_one_all_the_time() -> None:
    d, other = small(), small(7)
    name = other.name
    child = workers.context("spawn").Process(target=fill, args=(other,))
    child.start()
    del other
    with workers.context("fork").Pool(1) as pool:
        workers.joined(child)
        deadline = time.monotonic() + workers.GUARD
        while workers.exists(name) and time.monotonic() < deadline:
            pool.apply(fill, (d,))
        assert not workers.exists(name)


def fill_missing(d: ANYTHING) -> None:
    d["missing"]


# Executors


def test_a_table_for_each_call_of_an_executor_is_gone_after_the_executor(context: Any) -> None:
    names = []
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        for who in range(JOBS):
            d = small(who)
            names.append(d.name)
            future = executor.submit(fill, d)
            del d
            assert future.result(workers.GUARD) == who
    gc.collect()
    # Nothing of this package was called meanwhile.
    assert not [name for name in names if workers.exists(name)]
    assert not leftovers()


def test_an_executor_worker_may_keep_a_handle_and_use_it_in_a_later_call(context: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(keep, small(7)).result(workers.GUARD)
        gc.collect()
        assert tables()
        assert executor.submit(fill_kept, None).result(workers.GUARD) == 7


def test_a_table_that_an_executor_gives_back_lives_with_its_handle(context: Any) -> None:
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        results = list(executor.map(give_back, [small(who) for who in range(4)]))
    gc.collect()
    assert [d["given"] for d in results] == [0, 1, 2, 3]


# Processes


def late(there: Any, d: ANYTHING) -> None:
    """Opens the table when it is told to."""
    assert there.recv() == "now"
    there.send(fill(d))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_table_given_to_a_process_is_there_until_the_process_ended(method: str) -> None:
    context = workers.context(method)
    here, there = context.Pipe()
    d = small(7)
    name = d.name
    child = context.Process(target=late, args=(there, d))
    child.start()
    del d
    gc.collect()
    assert name in tables()
    here.send("now")
    assert here.poll(workers.GUARD)
    assert here.recv() == 7
    workers.joined(child)
    assert name not in tables()


def test_a_table_given_to_a_process_that_could_not_be_started_is_gone() -> None:
    d = small()
    name = d.name
    child = workers.context("spawn").Process(target=late, args=(d, threading.Lock()))
    with pytest.raises(TypeError):
        child.start()
    del d, child
    gc.collect()
    assert name not in tables()


# Anybody


def test_a_consumer_of_a_queue_finds_a_table_that_was_dropped_long_ago(context: Any) -> None:
    queue, answers = context.Queue(), context.Queue()
    for who in range(10):
        queue.put(small(who))
    gc.collect()
    # Others come and go, and none of them says anything about the queue.
    with context.Pool(1) as pool:
        assert pool.apply(fill, (small(7),)) == 7
    assert tables()
    child = context.Process(target=consume, args=(queue, answers))
    child.start()
    assert [answers.get(timeout=workers.GUARD) for _ in range(10)] == list(range(10))
    workers.joined(child)


def consume(queue: Any, answers: Any) -> None:
    for _ in range(10):
        answers.put(fill(queue.get(timeout=workers.GUARD)))


def test_a_table_that_was_pickled_by_hand_stays_until_the_process_ends() -> None:
    pickled = pickle.dumps(small(7))
    gc.collect()
    assert tables()
    assert pickle.loads(pickled)["given"] == 7


def test_one_that_was_given_to_a_pool_and_to_a_queue_stays_for_the_queue() -> None:
    context = workers.context("fork")
    queue = context.SimpleQueue()
    with context.Pool(1) as pool:
        d = small(7)
        queue.put(d)
        assert pool.apply(fill, (d,)) == 7
        del d
    gc.collect()
    assert tables()
    assert queue.get()["given"] == 7


def test_one_that_was_given_to_a_pool_again_and_again_stays_for_a_queue() -> None:
    context = workers.context("fork")
    queue = context.SimpleQueue()
    d = small(7)
    with context.Pool(1) as pool:
        for _ in range(3):
            assert pool.apply(fill, (d,)) == 7
        queue.put(d)
        assert pool.apply(fill, (d,)) == 7
        del d
    gc.collect()
    assert tables()
    assert queue.get()["given"] == 7


def test_one_that_was_given_to_two_pools_stays_until_both_have_ended() -> None:
    context = workers.context("fork")
    first, second = context.Pool(1), context.Pool(1)
    d = small(7)
    name = d.name
    for pool in [first, second, first, second]:
        assert pool.apply(fill, (d,)) == 7
    pool = second
    pool.apply(keep, (d,))
    del d
    end(first)
    assert name in tables()
    assert pool.apply(fill_kept, (None,)) == 7
    end(second)
    assert name not in tables()


def end(pool: Any) -> None:
    pool.close()
    pool.join()


# A creator's handle


def test_closing_the_creators_handle_removes_what_was_handed_out() -> None:
    d = small()
    other = pickle.loads(pickle.dumps(d))
    d.close()
    assert not leftovers()
    assert not workers.exists(other.name)
    with pytest.raises(NotFoundError):
        len(other)


def test_unlinking_forgets_what_was_handed_out() -> None:
    d = small()
    pickled = pickle.dumps(d)
    name = d.name
    del d
    gc.collect()
    assert name in leftovers()
    SharedDict.unlink(name)
    assert not leftovers()
    with pytest.raises(NotFoundError):
        len(pickle.loads(pickled))


def test_what_was_handed_out_does_not_look_as_if_its_creator_had_been_killed() -> None:
    d = small()
    pickle.dumps(d)
    name = d.name
    del d
    gc.collect()
    # A handle of its own mapping, as another process has it.
    with SharedDict.open(name, lock_timeout=4) as other:
        assert other.stats()["participants"] == 2


def test_a_forked_child_removes_nothing_that_its_parent_handed_out() -> None:
    d = small()
    pickle.dumps(d)
    name = d.name
    del d
    gc.collect()
    workers.all_well([workers.fork(gc.collect) for _ in range(3)])
    assert workers.exists(name)
