"""Do uvicorn's workers share a table, wait in it, and leave nothing behind?"""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import shmtable
from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import servers


def uvicorn(
    log: Path, port: int, *options: str, **variables: str
) -> AbstractContextManager[servers.Program]:
    where = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    return servers.running(log, "uvicorn", *where, *options, "web:asgi", **variables)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_every_request_of_all_workers_is_counted(loop: str, name: str, tmp_path: Path) -> None:
    port = servers.free_port()
    options = ["--workers", "2", "--loop", loop]
    with uvicorn(tmp_path / "log", port, *options, SHMTABLE_NAME=name) as server:
        servers.eventually("it answers", lambda: servers.answers(port), server)
        answered = servers.ask_many(port, "/hit", 300)
        assert answered == 300
        assert SharedDict.open(name)["hits"] == 300


def test_a_request_that_waits_stops_no_other(name: str, tmp_path: Path) -> None:
    port = servers.free_port()
    with uvicorn(tmp_path / "log", port, SHMTABLE_NAME=name) as server:
        servers.eventually("it answers", lambda: servers.answers(port), server)
        waited: list[str] = []
        waiting = threading.Thread(
            target=lambda: waited.append(servers.ask(port, "/wait")), daemon=True
        )
        waiting.start()
        assert servers.ask_many(port, "/hit", 50) == 50
        assert waited == []
        SharedDict.open(name)["stored"] = "by another process"
        waiting.join(servers.GUARD)
        assert waited == ["by another process"]


def test_what_a_service_leaves_at_sigterm_goes_with_the_next_table(tmp_path: Path) -> None:
    port = servers.free_port()
    with uvicorn(tmp_path / "log", port) as server:
        servers.eventually("it answers", lambda: servers.answers(port), server)
        left = servers.ask(port, "/name")
        assert left in shmtable.tables()
        server.end()
    with SharedDict(capacity=100):
        assert left not in shmtable.tables()
