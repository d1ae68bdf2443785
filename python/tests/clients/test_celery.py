"""Do Celery's prefork workers count together, and take over what a killed one computed?"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import servers

WORKER = ["--concurrency", "3", "--loglevel", "warning", "--without-gossip", "--without-mingle"]


@pytest.fixture
def tasks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application, with its worker running and its table there."""
    variables = {"SHMTABLE_NAME": name, "SHMTABLE_FOLDER": str(tmp_path)}
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    sys.modules.pop("tasks", None)
    application = importlib.import_module("tasks")
    with SharedDict(name=name, capacity=1000):
        command = ["celery", "--app", "tasks", "worker", *WORKER, "--max-tasks-per-child", "20"]
        with servers.running(tmp_path / "log", *command, **variables):
            yield application


def test_every_task_of_all_processes_is_counted_once(tasks: Any, name: str) -> None:
    results = [tasks.hit.delay(n) for n in range(100)]
    assert [result.get(timeout=servers.GUARD) for result in results] == list(range(100))
    assert SharedDict.open(name)["hits"] == 100


def test_another_process_computes_when_the_one_that_does_is_killed(tasks: Any, name: str) -> None:
    with SharedDict.open(name) as d:
        results = [tasks.page.delay() for _ in range(3)]
        victim = d.wait("computing", servers.GUARD)
        servers.eventually("all three ask", lambda: d["asking"] == 3)
        os.kill(victim, signal.SIGKILL)
        assert [result.get(timeout=servers.GUARD) for result in results] == [42] * 3
        assert d["computations"] == 2
