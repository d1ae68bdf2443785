"""Is a table for each task gone after other kinds of pools, too?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import workers

# Programs of their own: children import the module that they were started from.
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


def output(tmp_path: Path, code: str) -> tuple[int, str, str]:
    program = tmp_path / "program.py"
    program.write_text(BEGIN + code)
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=workers.GUARD,
        cwd=tmp_path,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("module", ["billiard", "multiprocess"])
def test_tables_are_gone_after_the_pool(tmp_path: Path, module: str, method: str) -> None:
    code, out, errors = output(tmp_path, POOL.format(module=module, method=method))
    assert (code, out) == (0, "0\n"), errors


@pytest.mark.parametrize("executor", ["ProcessPoolExecutor(2)", "get_reusable_executor(2)"])
def test_tables_are_gone_after_the_executor_of_loky(tmp_path: Path, executor: str) -> None:
    code, out, errors = output(tmp_path, LOKY.format(executor=executor))
    assert (code, out) == (0, "0\n"), errors
