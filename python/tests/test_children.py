"""Do tables live as long as they should across the children of a program?"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import SharedDict, tables

sys.path.insert(0, str(Path(__file__).parent))
import workers
from programs import PRELUDE, ended_alone, goes_well

ANYTHING = SharedDict[Any, Any]


@pytest.mark.parametrize("method", workers.METHODS)
def test_a_table_that_a_child_made_is_gone_when_the_child_is(method: str) -> None:
    context = workers.context(method)
    here, there = context.Pipe()
    child = context.Process(target=workers.make_anonymous, args=(there,))
    child.start()
    assert here.poll(workers.GUARD)
    name = here.recv()
    workers.joined(child)
    assert name.startswith("anon-")
    assert not workers.exists(name)


@pytest.mark.parametrize("method", workers.METHODS)
def test_tables_of_children_and_parents_are_gone_after_a_program(method: str) -> None:
    names = goes_well(
        f"""
import workers
if __name__ == '__main__':
    context = multiprocessing.get_context({method!r})
    here, there = context.Pipe()
    child = context.Process(target=workers.make_anonymous, args=(there,))
    child.start()
    print(here.recv())
    child.join()
    assert child.exitcode == 0
    child = context.Process(target=workers.count, args=(d,))
    child.start()
    child.join()
    assert child.exitcode == 0 and d['count'] == 1
"""
    )
    assert len(set(names)) == 2


@pytest.mark.parametrize("method", workers.METHODS)
def test_pools_end_without_complaints(method: str) -> None:
    goes_well(
        f"""
import workers
from itertools import repeat
if __name__ == '__main__':
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert sorted(pool.map(workers.count, repeat(d, 10))) == list(range(1, 11))
    from concurrent.futures import ProcessPoolExecutor
    context = multiprocessing.get_context({method!r})
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert sorted(pool.map(workers.count, repeat(d, 10))) == list(range(11, 21))
"""
    )


def test_joblib_ends_without_complaints() -> None:
    goes_well(
        """
import workers
from joblib import Parallel, delayed
if __name__ == '__main__':
    Parallel(n_jobs=2)(delayed(workers.count)(d) for _ in range(10))
    assert d['count'] == 10
"""
    )


@pytest.mark.parametrize(
    "child",
    [
        "os._exit(0)",
        "sys.exit(0)",
        "pass",
        "d['b'] = 2",
        "d.close()",
        "del d; gc.collect()",
        "d.close(); sys.exit(0)",
        "mine = SharedDict(capacity=10); print(mine.name, flush=True)",
        "mine = SharedDict(capacity=10); print(mine.name, flush=True); mine.close()",
        "import pickle; pickle.dumps(d)",
    ],
)
def test_a_table_outlives_a_forked_child_of_its_creator(child: str) -> None:
    goes_well(
        f"""
if os.fork() == 0:
    {child}
else:
    assert os.wait()[1] == 0
    assert os.path.exists('/dev/shm/shmtable.' + d.name)
    assert d['a'] == 1
    d['c'] = 3
    assert SharedDict.open(d.name)['c'] == 3
"""
    )


@pytest.mark.parametrize("child", ["d['b'] = 2", "d.close()", "del d", "sys.exit(0)"])
def test_a_table_outlives_a_child_of_multiprocessing_that_inherited_it(child: str) -> None:
    goes_well(
        f"""
def work():
    global d
    {child}
process = multiprocessing.get_context('fork').Process(target=work)
process.start()
process.join()
assert process.exitcode == 0
assert os.path.exists('/dev/shm/shmtable.' + d.name)
assert SharedDict.open(d.name)['a'] == 1
"""
    )


def test_a_table_outlives_a_child_of_its_creator_that_fails() -> None:
    exit_code, errors, _ = ended_alone(
        PRELUDE
        + """
if os.fork() == 0:
    raise ValueError('deliberate')
assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
assert SharedDict.open(d.name)['a'] == 1
"""
    )
    assert exit_code == 0
    assert errors.splitlines()[-1] == "ValueError: deliberate"
    assert errors.count("Traceback") == 1


def test_workers_that_have_a_table_open_go_on_after_its_creator_ended(name: str) -> None:
    with SharedDict.create(name, capacity=100) as results:

        def go_on() -> None:
            opened = SharedDict.open(results.wait("name", workers.GUARD))
            results["opened"] = True
            results.wait("ended", workers.GUARD)
            opened["b"] = 2
            results["seen"] = opened.copy()

        child = workers.fork(go_on)
        creator = workers.start(PRELUDE + "sys.stdin.read()")
        assert creator.stdout is not None
        theirs = SharedDict.open(creator.stdout.readline().strip())
        results["name"] = theirs.name
        results.wait("opened", workers.GUARD)
        assert workers.ended(creator) == (0, "", "")
        assert not workers.exists(theirs.name)
        results["ended"] = True
        workers.all_well([child])
        assert results["seen"] == theirs.copy() == {"a": 1, "b": 2}
        theirs.close()


def test_a_killed_creator_leaves_its_table_to_whoever_removes_it() -> None:
    creator = workers.start(PRELUDE + "sys.stdin.read()")
    assert creator.stdout is not None
    name = creator.stdout.readline().strip()
    # Who has it open keeps the next table from removing it.
    with SharedDict.open(name) as d:
        creator.kill()
        assert workers.ended(creator)[0] == -signal.SIGKILL
        with SharedDict(capacity=10):
            # It is whole, and it is listed.
            assert name in tables()
            assert name not in shmtable.gc()
        assert d.copy() == {"a": 1}
        assert d.anonymous
        SharedDict.unlink(name)
