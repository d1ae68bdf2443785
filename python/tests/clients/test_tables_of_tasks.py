"""Is a table for each task gone after other kinds of pools, too?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import workers

# Programs of their own.
BEGIN = """
import gc
import shmtable
from shmtable import SharedDict

def fill(d):
    d['filled'] = True
    return d['given']

def drop_one_for_each(call):
    names = []
    for who in range(10):
        d = SharedDict({'given': who}, capacity=10)
        names.append(d.name)
        future = call(fill, d)
        del d
        assert future.get() == who if hasattr(future, 'get') else future.result() == who
    return set(names)

def count(names):
    gc.collect()
    print(len(names & set(shmtable.tables())))
"""

POOL = """
import {module} as mp
if __name__ == '__main__':
    with mp.get_context({method!r}).Pool(2) as pool:
        names = drop_one_for_each(lambda f, d: pool.apply_async(f, (d,)))
        pool.close()
        pool.join()
    count(names)
"""

LOKY = """
from loky import ProcessPoolExecutor, get_reusable_executor
if __name__ == '__main__':
    with {executor} as executor:
        names = drop_one_for_each(executor.submit)
    del executor
    count(names)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("module", ["billiard", "multiprocess"])
def test_tables_are_gone_after_the_pool(tmp_path: Path, module: str, method: str) -> None:
    program = BEGIN + POOL.format(module=module, method=method)
    assert workers.output_of_file(program, tmp_path) == "0\n"


@pytest.mark.parametrize("executor", ["ProcessPoolExecutor(2)", "get_reusable_executor(2)"])
def test_tables_are_gone_after_the_executor_of_loky(tmp_path: Path, executor: str) -> None:
    program = BEGIN + LOKY.format(executor=executor)
    assert workers.output_of_file(program, tmp_path) == "0\n"
