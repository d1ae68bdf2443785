"""Programs that make a table and end, each in a process of its own."""

from __future__ import annotations

import workers

PRELUDE = """
import gc, multiprocessing, os, signal, sys, time
from shmtable import SharedDict
d = SharedDict({'a': 1}, capacity=100)
print(d.name, flush=True)
"""
# The same number of lines, without a table: what Python itself prints.
WITHOUT = """
import gc, multiprocessing, os, signal, sys, time


print('none', flush=True)
"""


def ended_alone(code: str) -> tuple[int, str, list[str]]:
    """A program's exit code, errors and output, each line of which names a table that is gone."""
    exit_code, output, errors = workers.ended(workers.start(code))
    assert "resource_tracker" not in errors
    names = output.split()
    assert names
    assert not [name for name in names if workers.exists(name)], errors
    return exit_code, errors, names


def goes_well(end: str, prelude: str = PRELUDE) -> list[str]:
    """Runs a program that makes a table and ends like this; the tables it named are gone."""
    exit_code, errors, names = ended_alone(prelude + end)
    assert (exit_code, errors) == (0, "")
    return names
