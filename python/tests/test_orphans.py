"""Do anonymous tables go by themselves when their creators could not remove them?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import shmtable
from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

PROGRAM = "import os, signal, sys, time; from shmtable import SharedDict; d = SharedDict(capacity=10); "


def left_by(ending: str, tables: int = 1) -> list[str]:
    """The tables that a program left which ended so."""
    program = PROGRAM + f"more = [SharedDict(capacity=10) for _ in range({tables - 1})]; "
    program += "print(d.name, *(one.name for one in more), flush=True); " + ending
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd="/", capture_output=True, text=True, timeout=workers.GUARD
    )
    assert ended.stderr == ""
    names = ended.stdout.split()
    assert len(names) == tables
    return names


def create_until_gone(name: str) -> None:
    """Creates tables; it may take more than one if another process looks at the orphan too."""
    for _ in range(100):
        with SharedDict(capacity=10):
            if not workers.exists(name):
                return
    pytest.fail(f"{name} is still there")


@pytest.mark.parametrize(
    "ending",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        # As uvicorn ends when it has closed everything.
        "signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.raise_signal(signal.SIGTERM)",
        "os._exit(0)",
    ],
)
def test_the_next_table_removes_what_a_process_left_that_ended_so(ending: str) -> None:
    (name,) = left_by(ending)
    create_until_gone(name)


def test_a_service_that_is_terminated_leaves_nothing_to_its_next_start() -> None:
    service = workers.start(PROGRAM + "print(d.name, flush=True); time.sleep(1000)")
    assert service.stdout is not None
    name = service.stdout.readline().strip()
    with SharedDict(capacity=10):
        assert workers.exists(name), "it lives"
    service.send_signal(signal.SIGTERM)
    assert workers.ended(service)[0] == -signal.SIGTERM
    create_until_gone(name)


def test_the_next_table_removes_what_children_left_that_end_by_exit() -> None:
    names = []
    for _ in range(4):
        reading, writing = os.pipe()
        if os.fork() == 0:
            keep = SharedDict(capacity=10)
            os.write(writing, keep.name.encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as told:
            names.append(told.read())
        os.wait()
    for name in names:
        create_until_gone(name)


def test_many_orphans_go_by_a_few_tables() -> None:
    for name in left_by("os.kill(os.getpid(), signal.SIGKILL)", 60):
        create_until_gone(name)


def test_orphans_are_told_with_their_bytes_and_gc_removes_them() -> None:
    service = workers.start(PROGRAM + "print(d.name, flush=True); time.sleep(1000)")
    assert service.stdout is not None
    name = service.stdout.readline().strip()
    assert name not in shmtable.orphans()
    assert name not in shmtable.gc()
    # A reader keeps it from being removed by others' tables.
    with SharedDict.open(name, read_only=True) as reader:
        service.kill()
        workers.ended(service)
        assert name not in shmtable.orphans(), "somebody reads it"
        assert name not in shmtable.gc()
        assert reader.copy() == {}
    removed = name in shmtable.gc()
    assert removed or not workers.exists(name), "another process was faster"
    assert name not in shmtable.orphans()
    (name,) = left_by("os.kill(os.getpid(), signal.SIGKILL)")
    told = shmtable.orphans().get(name)
    assert told is None or 4096 < told < 1 << 20
    create_until_gone(name)


def test_gc_keeps_the_tables_of_the_living_and_those_with_names(name: str) -> None:
    SharedDict.create(name, capacity=10).close()
    with SharedDict(capacity=10) as d:
        assert not {name, d.name} & set(shmtable.gc())
        assert workers.exists(name)
        assert workers.exists(d.name)


def test_a_forked_child_that_only_reads_keeps_the_table_of_its_killed_parent() -> None:
    program = PROGRAM + (
        "d['k'] = 1\n"
        "child = os.fork()\n"
        "if child:\n"
        "    print(d.name, child, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
        "while d['k'] == 1: time.sleep(0.01)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd="/")
    assert parent.stdout is not None
    name, child = parent.stdout.readline().split()
    assert parent.wait() == -signal.SIGKILL
    for _ in range(5):
        SharedDict(capacity=10).close()
    assert name not in shmtable.orphans(), "gc would not remove it"
    assert name not in shmtable.gc()
    assert workers.exists(name)
    os.kill(int(child), signal.SIGKILL)
    parent.stdout.close()
    create_until_gone(name)
