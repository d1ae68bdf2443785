"""Is the package refused in a second interpreter of the process, where it would be wrong?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import workers

# Runs code in an interpreter of its own that shares the lock, as mod_wsgi does.
PRELUDE = """
import sys
try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters

class Interpreter:
    def __init__(self):
        if sys.version_info >= (3, 13):
            self.id = _interpreters.create("legacy")
        else:
            self.id = _interpreters.create(isolated=False)

    def run(self, code):
        failed = _interpreters.run_string(self.id, code)
        assert failed is None, failed

    def close(self):
        _interpreters.destroy(self.id)

WORKS = '''
import shmtable
with shmtable.SharedDict(capacity=10) as d:
    assert d.compare_exchange("k", shmtable.MISSING, 1) and d["k"] == 1
    try:
        d["missing"]
    except shmtable.MissingKeyError:
        pass
'''
REFUSED = '''
for _ in range(2):
    try:
        import shmtable
    except ImportError as error:
        assert "another interpreter" in str(error), error
        assert "processes of their own" in str(error), error
    else:
        raise AssertionError("it was imported")
'''
"""

ORDERS = {
    "after the first": "exec(WORKS); Interpreter().run(REFUSED); exec(WORKS)",
    "several": "exec(WORKS); [Interpreter().run(REFUSED) for _ in range(3)]; exec(WORKS)",
    "before the first": "i = Interpreter(); i.run(WORKS); exec(REFUSED); i.run(WORKS)",
    "after one that was closed": "i = Interpreter(); i.run(WORKS); i.close(); exec(REFUSED)",
    "after one that was closed, in another": (
        "i = Interpreter(); i.run(WORKS); i.close(); Interpreter().run(REFUSED)"
    ),
    "made before the import": "i = Interpreter(); exec(WORKS); i.run(REFUSED)",
}


@pytest.mark.parametrize("order", ORDERS)
def test_one_interpreter_of_a_process_works_and_the_others_are_refused(order: str) -> None:
    workers.run(PRELUDE + ORDERS[order])


def test_an_interpreter_may_import_the_package_again() -> None:
    workers.run(
        PRELUDE
        + """
exec(WORKS)
for name in [name for name in sys.modules if name.startswith("shmtable")]:
    del sys.modules[name]
import shmtable
"""
    )


def test_a_forked_child_goes_on_using_the_package() -> None:
    workers.run(
        PRELUDE
        + """
import os
exec(WORKS)
if os.fork() == 0:
    exec(WORKS)
    exec("for name in [n for n in sys.modules if n.startswith('shmtable')]: del sys.modules[name]")
    import shmtable
else:
    assert os.wait()[1] == 0
"""
    )
