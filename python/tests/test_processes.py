"""Does a handle reach other processes, however they are started, and work there?"""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from shmtable import PickleRefusedError, ReadOnlyError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


@pytest.fixture(params=["anonymous", "named"])
def shared(request: pytest.FixtureRequest, name: str) -> Iterator[ANYTHING]:
    named = name if request.param == "named" else None
    with SharedDict({"given": "before"}, name=named, capacity=1000) as d:
        yield d


def test_a_process_and_its_parent_see_what_the_other_stores_at_once(
    context: Any, shared: ANYTHING
) -> None:
    child = context.Process(target=workers.greet, args=(shared, 1))
    child.start()
    workers.ask(shared, 1)
    workers.joined(child)
    assert shared["here", 1] == child.pid


def test_siblings_see_what_the_other_stores_at_once(context: Any, shared: ANYTHING) -> None:
    children = [
        context.Process(target=workers.greet, args=(shared, 1)),
        context.Process(target=workers.ask, kwargs={"d": shared, "who": 1}),
    ]
    for child in children:
        child.start()
    workers.joined(*children)
    assert shared["answer", 1] == 42


def test_a_read_only_handle_stays_one(context: Any, shared: ANYTHING) -> None:
    with SharedDict(capacity=100) as results:
        reader = SharedDict.open(shared.name, read_only=True)
        child = context.Process(target=workers.only_read, args=(reader, results, "it"))
        child.start()
        workers.joined(child)
        assert results["it"] == (True, "before", "refused")
        assert "written" not in shared


def test_a_pool_maps_over_a_repeated_handle(context: Any, shared: ANYTHING) -> None:
    with context.Pool(3) as pool:
        sums = pool.map(workers.count, repeat(shared, 10))
        assert shared["count"] == 10
    assert sorted(sums) == list(range(1, 11))


def test_a_pool_keeps_a_handle_from_its_initializer(context: Any, shared: ANYTHING) -> None:
    with context.Pool(2, initializer=workers.keep, initargs=(shared,)) as pool:
        sums = pool.map(workers.count_with_kept, range(20), chunksize=1)
        assert shared["count"] == 20
    assert sorted(sums) == list(range(1, 21))
    assert os.getpid() not in {shared["by", who] for who in range(20)}


def test_a_process_pool_executor_takes_a_handle(context: Any, shared: ANYTHING) -> None:
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        futures = [executor.submit(workers.count_for, shared, who) for who in range(10)]
        results = [future.result(workers.GUARD) for future in futures]
    assert results == [(who, "before") for who in range(10)]
    assert shared["count"] == 10
    assert os.getpid() not in {shared["by", who] for who in range(10)}


def test_a_handle_goes_through_a_queue(context: Any, shared: ANYTHING) -> None:
    queue = context.Queue()
    child = context.Process(target=workers.answer_queue, args=(queue,))
    child.start()
    queue.put(shared)
    workers.ask(shared, "queue")
    workers.joined(child)
    queue.close()
    queue.join_thread()


def test_handles_go_through_a_pipe_both_ways(context: Any, shared: ANYTHING) -> None:
    here, there = context.Pipe()
    child = context.Process(target=workers.answer_pipe, args=(there,))
    child.start()
    here.send(shared)
    workers.ask(shared, "pipe")
    assert here.poll(workers.GUARD)
    theirs = here.recv()
    assert theirs.copy() == {"from": "the child"}
    theirs["seen"] = "by the parent"
    workers.joined(child)
    # Its creator closed it, which is nothing to whoever has it open.
    assert not workers.exists(theirs.name)
    assert theirs["seen"] == "by the parent"
    theirs.close()
    here.close()
    there.close()


def test_joblib_takes_a_handle_as_an_argument(shared: ANYTHING) -> None:
    tasks = (delayed(workers.count_for)(shared, who) for who in range(20))
    assert Parallel(n_jobs=2, backend="loky")(tasks) == [(who, "before") for who in range(20)]
    assert shared["count"] == 20
    assert os.getpid() not in {shared["by", who] for who in range(20)}
    get_reusable_executor().shutdown(wait=True)


def test_joblib_takes_a_handle_that_a_lambda_captured(shared: ANYTHING) -> None:
    Parallel(n_jobs=2, backend="loky")(delayed(lambda: shared.add("count"))() for _ in range(20))
    assert shared["count"] == 20
    get_reusable_executor().shutdown(wait=True)


def test_a_forked_child_uses_a_handle_that_it_inherited(shared: ANYTHING) -> None:
    child = workers.fork(lambda: workers.greet(shared, "forked"))
    workers.ask(shared, "forked")
    workers.all_well([child])
    assert shared["here", "forked"] == child


def test_a_process_with_fork_uses_a_global_that_it_inherited(shared: ANYTHING) -> None:
    workers.keep(shared)
    try:
        child = workers.context("fork").Process(target=workers.count_with_kept, args=(7,))
        child.start()
        workers.joined(child)
        assert shared["count"] == 1
        assert shared["by", 7] == child.pid
    finally:
        workers._given = None


def test_an_unrelated_program_opens_a_table_by_its_name(shared: ANYTHING) -> None:
    program = workers.start(
        """if True:
        import sys
        from shmtable import SharedDict
        with SharedDict.open(sys.argv[1]) as d:
            print(d["given"], d.wait("question", 120), d.anonymous)
            d["answer"] = 42
            d.wait("end", 120)
        """,
        shared.name,
    )
    shared["question"] = ["the question"]
    assert shared.wait("answer", workers.GUARD) == 42
    shared["end"] = True
    expected = f"before ['the question'] {shared.anonymous}\n"
    assert workers.ended(program) == (0, expected, "")
    assert workers.exists(shared.name)


def through_pickle(d: ANYTHING, protocol: int = pickle.HIGHEST_PROTOCOL) -> ANYTHING:
    other = pickle.loads(pickle.dumps(d, protocol))
    assert other is not d
    assert other.name == d.name
    assert type(other) is type(d)
    return other


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_carries_a_handle(shared: ANYTHING, protocol: int) -> None:
    other = through_pickle(shared, protocol)
    other["a"] = 1
    assert shared["a"] == 1
    # It is one more handle of the same table, and not its creator's.
    other.close()
    assert workers.exists(shared.name)


@pytest.mark.parametrize("read_only", [False, True])
def test_pickling_keeps_whether_a_handle_is_read_only(shared: ANYTHING, read_only: bool) -> None:
    with SharedDict.open(shared.name, read_only=read_only) as d, through_pickle(d) as other:
        assert other.read_only is read_only
        assert other["given"] == "before"
        if read_only:
            with pytest.raises(ReadOnlyError):
                other["a"] = 1
        else:
            other["a"] = 1


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "json", "raw"])
@pytest.mark.parametrize("asked", [False, True])
def test_pickling_keeps_the_codec(name: str, codec: Any, asked: bool) -> None:
    with SharedDict.create(name, capacity=10, codec=codec) as d:
        d[b"a"] = b"1" if codec != "json" else [1]
        with (
            SharedDict.open(name, codec=codec if asked else None) as opened,
            through_pickle(opened) as other,
            through_pickle(d) as another,
        ):
            assert other.codec == another.codec == codec
            assert other[b"a"] == another[b"a"] == d[b"a"]


def test_pickling_keeps_that_a_handle_looks_at_the_bytes(shared: ANYTHING) -> None:
    with SharedDict.open(shared.name, codec="raw") as d, through_pickle(d) as other:
        assert (shared.codec, other.codec) == ("pickle", "raw")
        assert other.copy() == {b"\xa5given": b"\xa6before"}


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_pickling_keeps_whether_pickles_are_allowed(name: str, allowed: bool, mode: int) -> None:
    with (
        SharedDict.create(name, capacity=10, mode=mode, allow_pickle=allowed) as d,
        through_pickle(d) as other,
    ):
        assert other.allow_pickle is allowed
        if allowed:
            other["a"] = (1, 2)
            assert d["a"] == (1, 2)
        else:
            with pytest.raises(PickleRefusedError):
                other["a"] = (1, 2)


def test_pickling_keeps_the_default_of_allow_pickle(name: str) -> None:
    with SharedDict.create(name, capacity=10, mode=0o666) as d, through_pickle(d) as other:
        assert d.allow_pickle is False
        assert other.allow_pickle is False


def test_pickling_keeps_the_lock_timeout(name: str) -> None:
    with SharedDict.create(name, capacity=40_000, lock_timeout=0.125) as d:
        d.update((number, number) for number in range(20_000))
        with through_pickle(d) as other, workers.stopped_holder(name):
            with pytest.raises(TimeoutError) as own:
                d["held"] = 1
            with pytest.raises(TimeoutError) as copied:
                other["held"] = 1
            assert "125" in str(own.value)
            assert str(copied.value) == str(own.value)


def test_a_class_of_the_user_survives_pickling(context: Any, name: str) -> None:
    with workers.Ledger(name=name, capacity=10) as ledger:
        assert through_pickle(ledger).pay("ann", 1) == 1
        child = context.Process(target=workers.pay, args=(ledger,))
        child.start()
        workers.joined(child)
        assert ledger["ann"] == 6
    opened = workers.Ledger.open(name)
    assert type(opened) is workers.Ledger
    assert through_pickle(opened).pay("ann", 1) == 7


def test_a_handle_inside_other_objects_is_carried(shared: ANYTHING) -> None:
    first, second = pickle.loads(pickle.dumps([shared, shared]))
    assert first is second
    first["a"] = 1
    assert shared["a"] == 1


def test_a_copy_of_a_handle_is_a_plain_dict(shared: ANYTHING) -> None:
    assert copy.copy(shared) == copy.deepcopy(shared) == {"given": "before"}
    assert type(copy.copy(shared)) is type(copy.deepcopy(shared)) is dict


def test_a_child_finds_a_table_that_its_parent_forgot_right_after_the_start(context: Any) -> None:
    results = SharedDict(capacity=100)
    forgotten = SharedDict({"given": "before"}, capacity=100)
    child = context.Process(target=workers.only_read, args=(forgotten, results, "it"))
    child.start()
    name = forgotten.name
    del forgotten
    gc.collect()
    workers.joined(child)
    assert results["it"] == (False, "before", "written")
    results.close()
    # If it was pickled, it stays as long as this process: somebody else may still
    # be about to open it.
    if workers.exists(name):
        SharedDict.unlink(name)


@pytest.mark.parametrize("method", workers.METHODS)
def test_a_program_that_ends_without_joining_keeps_its_tables_for_its_children(
    name: str, method: str
) -> None:
    with SharedDict.create(name, capacity=100) as results:
        output = workers.run(
            """if True:
            import multiprocessing, sys
            import workers
            from shmtable import SharedDict
            if __name__ == "__main__":
                results = SharedDict.open(sys.argv[1])
                context = multiprocessing.get_context(sys.argv[2])
                anonymous = SharedDict({"given": "before"}, capacity=100)
                for who in range(3):
                    arguments = (anonymous, results, who)
                    context.Process(target=workers.only_read, args=arguments).start()
                print(anonymous.name)
            """,
            name,
            method,
        )
        assert results.copy() == dict.fromkeys(range(3), (False, "before", "written"))
        assert not workers.exists(output.strip())


def test_a_script_with_spawned_children_works_as_the_documentation_has_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import multiprocessing
from shmtable import SharedDict

def square(d, n):
    d[n] = n * n

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    d = SharedDict()
    processes = [multiprocessing.Process(target=square, args=(d, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(sorted(d.items()))
"""
    )
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=workers.GUARD
    )
    assert (ended.stdout, ended.stderr) == ("[(0, 0), (1, 1), (2, 4), (3, 9)]\n", "")
