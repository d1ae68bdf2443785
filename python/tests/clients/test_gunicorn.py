"""Do gunicorn's workers count together, also when they are killed?"""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import servers

REQUESTS = 300


def gunicorn(
    log: Path, port: int, *options: str, **variables: str
) -> AbstractContextManager[servers.Program]:
    bind = f"127.0.0.1:{port}"
    arguments = ["--bind", bind, "--workers", "3", "--no-control-socket", *options, "web:wsgi"]
    return servers.running(log, "gunicorn", *arguments, **variables)


def hits_of_four(port: int) -> list[int]:
    """Requests of four clients at once; how many each was answered."""
    with ThreadPoolExecutor(4) as clients:
        return list(clients.map(lambda _: servers.ask_many(port, "/hit", REQUESTS), range(4)))


def test_every_answered_request_of_all_workers_is_counted(name: str, tmp_path: Path) -> None:
    port = servers.free_port()
    with gunicorn(tmp_path / "log", port, SHMTABLE_NAME=name) as server:
        servers.eventually("it answers", lambda: servers.answers(port), server)
        answered = hits_of_four(port)
        assert answered == [REQUESTS] * 4
        assert SharedDict.open(name)["hits"] == sum(answered)


def test_a_killed_worker_loses_no_request_that_was_answered(name: str, tmp_path: Path) -> None:
    port = servers.free_port()
    with gunicorn(tmp_path / "log", port, SHMTABLE_NAME=name) as server:
        servers.eventually("it answers", lambda: servers.answers(port), server)
        victim = int(servers.ask(port, "/worker"))
        killer = threading.Timer(0.2, os.kill, [victim, signal.SIGKILL])
        killer.start()
        answered = sum(hits_of_four(port))
        killer.join()
        # Those that were with the worker may have been counted before it was killed.
        hits = SharedDict.open(name)["hits"]
        assert answered <= hits <= 4 * REQUESTS
        assert answered >= 4 * REQUESTS - 4


def test_workers_that_inherit_an_anonymous_table_share_it(tmp_path: Path) -> None:
    port = servers.free_port()
    with gunicorn(tmp_path / "log", port, "--preload") as server:
        servers.eventually("it answers", lambda: servers.answers(port), server)
        answered = sum(hits_of_four(port))
        assert int(servers.ask(port, "/hit")) == answered + 1
        assert server.end() == 0


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_one_request_renders_the_page_that_many_ask_for(
    worker: str, name: str, tmp_path: Path
) -> None:
    port = servers.free_port()
    options = ["--worker-class", worker, "--threads", "4"]
    with gunicorn(tmp_path / "log", port, *options, SHMTABLE_NAME=name) as server:
        servers.eventually("it answers", lambda: servers.answers(port), server)
        with ThreadPoolExecutor(8) as clients:
            pages = list(clients.map(lambda _: servers.ask(port, "/page"), range(8)))
        assert pages == ["page"] * 8
        assert SharedDict.open(name)["rendered"] == 1
