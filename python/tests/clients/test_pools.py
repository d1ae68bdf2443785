"""Do other kinds of multiprocessing carry handles, and leave no table behind?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import shmtable

sys.path.insert(0, str(Path(__file__).parents[1]))
import workers

# Programs of their own.
COUNT = """
import {module} as mp
from shmtable import SharedDict

def visit(task):
    d, n = task
    d.add('visits')
    return n

if __name__ == '__main__':
    mp.set_start_method({method!r})
    d = SharedDict(capacity=1000)
    with mp.Pool(2) as pool:
        assert pool.map(visit, [(d, n) for n in range(300)]) == list(range(300))
    print(d['visits'])
"""

LEAVE = """
import {module} as mp
import shmtable

def make(n):
    global kept
    kept = shmtable.SharedDict(capacity=100)
    return kept.name

if __name__ == '__main__':
    with mp.Pool(2, maxtasksperchild=1) as pool:
        names = pool.map(make, range(4), chunksize=1)
        pool.close()
        pool.join()
    after = shmtable.SharedDict(capacity=100)
    print(sorted(set(names) & set(shmtable.tables())))
"""

LOKY = """
import loky
from shmtable import SharedDict

if __name__ == '__main__':
    d = SharedDict(capacity=1000)
    executor = loky.get_reusable_executor(max_workers=2)
    visits = list(executor.map(lambda n: d.add('visits') and n, range(300)))
    assert visits == list(range(300))
    executor.shutdown()
    print(d['visits'])
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("module", ["billiard", "multiprocess"])
def test_every_task_of_a_pool_that_carries_the_handle_is_done(
    module: str, method: str, tmp_path: Path
) -> None:
    assert workers.output_of_file(COUNT.format(module=module, method=method), tmp_path) == "300\n"


@pytest.mark.parametrize("module", ["billiard", "multiprocess"])
def test_tables_of_children_that_ended_go_with_the_next_table(module: str, tmp_path: Path) -> None:
    before = set(shmtable.tables())
    assert workers.output_of_file(LEAVE.format(module=module), tmp_path) == "[]\n"
    assert set(shmtable.tables()) <= before


def test_closures_go_through_loky(tmp_path: Path) -> None:
    assert workers.output_of_file(LOKY, tmp_path) == "300\n"
