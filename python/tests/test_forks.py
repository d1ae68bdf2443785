"""Does a table survive `os.fork`, whatever the other threads are doing?"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shmtable import ClosedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]

# Python itself warns of a fork beside threads, since 3.12.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def shared(name: str) -> Iterator[ANYTHING]:
    with SharedDict.create(name, capacity=5000, value_space=32 << 20) as d:
        d["count"] = 0
        yield d


@contextmanager
def busy_threads(d: ANYTHING, threads: int = 4) -> Iterator[list[int]]:
    """Threads that read and write until the end; gives how often each did."""
    over = threading.Event()
    turns = [0] * threads
    raised: list[BaseException] = []

    def work(me: int) -> None:
        dice = random.Random(me)
        try:
            while not over.is_set():
                d["parent", me] = [turns[me], me]
                d["parent large", me] = bytes([me]) * dice.choice([100, 100_000])
                assert d["parent", me] == [turns[me], me]
                d.add("count")
                d.get_many([("parent", number) for number in range(threads)])
                if dice.random() < 0.05:
                    d.snapshot()
                turns[me] += 1
        except BaseException as error:
            raised.append(error)

    running = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield turns
    finally:
        over.set()
        for thread in running:
            thread.join(workers.GUARD)
            assert not thread.is_alive(), "a thread hung"
    assert not raised, raised
    assert all(turns)


def use(d: ANYTHING, me: int) -> None:
    """What a child does: everything."""
    d["child", me] = ["first", me]
    assert d["child", me] == ["first", me]
    d["child", me] = b"large" * 40_000
    assert d["child", me] == b"large" * 40_000
    d["child", me] = me
    d.add("count")
    d.set_many({("many", me, number): number for number in range(5)})
    assert d.get_many([("many", me, number) for number in range(5)]) == list(range(5))
    for number in range(5):
        assert d.pop(("many", me, number)) == number
    assert d.setdefault(("default", me), me) == me
    assert d.get_or_compute(("computed", me), lambda: -me) == -me
    assert len(d.copy()) > 1
    assert ("child", me) in list(d)
    assert len(d.snapshot()) > 1


def test_children_use_a_handle_that_4_threads_of_the_parent_are_using(shared: ANYTHING) -> None:
    def child(me: int) -> None:
        use(shared, me)
        shared.close()
        with pytest.raises(ClosedError):
            shared["child", me]

    with busy_threads(shared) as turns:
        for me in range(60):
            before = list(turns)
            workers.all_well([workers.fork(child, me)])
            assert shared["child", me] == me
            # The parent's threads work on.
            while any(now == then for now, then in zip(turns, before, strict=True)):
                pass
    assert shared["count"] == sum(turns) + 60
    assert not shared.closed
    assert [shared["computed", me] for me in range(60)] == [-me for me in range(60)]
    assert shared.stats()["participants"] == 1


def test_children_that_overlap_use_a_handle_beside_threads(shared: ANYTHING) -> None:
    with busy_threads(shared) as turns:
        for begin in range(0, 60, 6):
            children = [workers.fork(use, shared, me) for me in range(begin, begin + 6)]
            workers.all_well(children)
    assert shared["count"] == sum(turns) + 60
    assert [shared["child", me] for me in range(60)] == list(range(60))
    assert shared.stats()["participants"] == 1


def test_children_that_read_alone_disturb_nobody(shared: ANYTHING) -> None:
    shared["k"] = b"x" * 100_000

    def read() -> None:
        for _ in range(20):
            assert shared["k"] == b"x" * 100_000
            assert shared.get("absent") is None
            assert len(shared.copy()) >= 2

    with busy_threads(shared) as turns:
        for _ in range(30):
            workers.all_well([workers.fork(read)])
    assert shared["count"] == sum(turns)


def test_200_forks_in_a_row_with_writes_on_both_sides(shared: ANYTHING) -> None:
    def child(me: int) -> None:
        assert shared["parent", me] == me
        shared["child", me] = [me]
        for _ in range(10):
            shared.add("count")

    children = []
    for me in range(200):
        shared["parent", me] = me
        children.append(workers.fork(child, me))
        for _ in range(10):
            shared.add("count")
        if me >= 20:
            workers.all_well([children.pop(0)])
    workers.all_well(children)
    assert shared["count"] == 4000
    assert [shared["child", me] for me in range(200)] == [[me] for me in range(200)]
    assert [shared["parent", me] for me in range(200)] == list(range(200))
    assert len(shared) == 401
    assert shared.stats()["participants"] == 1


def test_each_generation_of_children_uses_what_it_inherited(shared: ANYTHING) -> None:
    def generation(number: int) -> None:
        shared["generation", number] = os.getpid()
        shared.add("count")
        if number < 12:
            workers.all_well([workers.fork(generation, number + 1)])
        assert shared["generation", 12] != 0
        shared.add("count")

    generation(0)
    assert shared["count"] == 26
    assert len({shared["generation", number] for number in range(13)}) == 13
    assert shared.stats()["participants"] == 1


def test_a_grandchild_goes_on_after_its_parent_ended(shared: ANYTHING) -> None:
    def grandchild() -> None:
        shared.wait("child ended", workers.GUARD)
        use(shared, 2)
        shared["grandchild ended"] = True

    def child() -> None:
        use(shared, 1)
        workers.fork(grandchild)

    workers.all_well([workers.fork(child)])
    shared["child ended"] = True
    assert shared.wait("grandchild ended", workers.GUARD) is True
    assert shared["child", 2] == 2


def test_a_parent_may_end_before_its_child_has_used_the_table(shared: ANYTHING) -> None:
    output = workers.run(
        """if True:
        import os, sys
        from shmtable import SharedDict
        d = SharedDict.open(sys.argv[1])
        d["parent"] = os.getpid()
        if os.fork() == 0:
            # Its output is nobody's, so that nobody waits for it.
            for descriptor in range(3):
                os.close(descriptor)
            while os.getppid() == d["parent"]:
                os.sched_yield()
            d["child"] = os.getpid()
            os._exit(0)
        """,
        shared.name,
    )
    assert output == ""
    assert shared.wait("child", workers.GUARD) != shared["parent"]


def test_closing_in_a_child_leaves_the_parents_handle(shared: ANYTHING) -> None:
    def child() -> None:
        shared.close()
        shared.close()
        assert shared.closed

    def forget() -> None:
        nonlocal shared
        del shared
        gc.collect()

    with SharedDict({"a": 1}, capacity=10) as anonymous:
        workers.all_well([workers.fork(child), workers.fork(forget)])
        workers.all_well([workers.fork(anonymous.close)])
        assert workers.exists(anonymous.name)
        assert anonymous["a"] == 1
        with SharedDict.open(anonymous.name) as other:
            other["b"] = 2
        assert anonymous["b"] == 2
    shared["a"] = 1
    assert shared["a"] == 1


def test_closing_in_the_parent_leaves_the_childs_handle(name: str) -> None:
    with SharedDict.create(name, capacity=100) as results:
        d = SharedDict({"a": 1}, capacity=100)

        def child() -> None:
            results.wait("closed", workers.GUARD)
            assert d["a"] == 1
            d["b"] = 2
            assert d.copy() == {"a": 1, "b": 2}

        pid = workers.fork(child)
        d.close()
        results["closed"] = True
        workers.all_well([pid])


def test_iterators_go_on_in_a_child_and_in_the_parent(shared: ANYTHING) -> None:
    shared.update((number, number) for number in range(1000))
    iterator = iter(shared)
    begun = [next(iterator) for _ in range(300)]

    def child() -> None:
        assert len({*begun, *iterator}) == 1001

    workers.all_well([workers.fork(child), workers.fork(child)])
    assert len({*begun, *iterator}) == 1001


def test_a_read_only_handle_is_inherited(shared: ANYTHING) -> None:
    with SharedDict.open(shared.name, read_only=True) as reader:

        def child() -> None:
            assert reader["count"] == 0
            with pytest.raises(PermissionError):
                reader["a"] = 1
            reader.close()

        workers.all_well([workers.fork(child)])
        assert reader["count"] == 0


def test_a_child_waits_for_what_the_parent_stores_and_the_other_way_round(
    shared: ANYTHING,
) -> None:
    def child() -> None:
        for number in range(200):
            shared["from child", number] = shared.wait(("from parent", number), workers.GUARD)

    pid = workers.fork(child)
    for number in range(200):
        shared["from parent", number] = number
        assert shared.wait(("from child", number), workers.GUARD) == number
    workers.all_well([pid])


def test_a_thread_that_forks_while_others_wait_does_not_take_them_along(
    shared: ANYTHING,
) -> None:
    waited: list[int] = []
    waiting = threading.Thread(target=lambda: waited.append(shared.wait("k", workers.GUARD)))
    waiting.start()
    for me in range(20):
        workers.all_well([workers.fork(use, shared, me)])
    workers.all_well([workers.fork(shared.__setitem__, "k", 7)])
    waiting.join(workers.GUARD)
    assert waited == [7]


def test_a_table_made_in_a_forked_child_is_the_childs_own(shared: ANYTHING) -> None:
    def child(me: int) -> None:
        with SharedDict({"me": me}, capacity=10) as mine:
            shared["name", me] = mine.name
            assert mine["me"] == me

    workers.all_well([workers.fork(child, me) for me in range(10)])
    names = {shared["name", me] for me in range(10)}
    assert len(names) == 10
    assert not any(map(workers.exists, names))
