"""Does the service of the page about FastAPI do what the page says?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import shmtable
from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import pages
import servers


def workers_of(server: servers.Program) -> set[int]:
    """The processes of uvicorn that answer; another child is multiprocessing's own."""
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    spawned = {pid for pid in children if b"spawn_main" in command_line(pid)}
    return set(map(int, spawned))


def command_line(pid: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_jobs_go_on_when_all_workers_are_killed(name: str, tmp_path: Path) -> None:
    page = pages.Page("fastapi.md", tmp_path, name, servers.free_port())
    port = page.port

    def ask(path: str, method: str = "GET") -> Any:
        status, body = servers.reply(port, path, method)
        assert status == 200, f"{status} {body}"
        return json.loads(body)

    def rates() -> Any:
        with contextlib.suppress(OSError):
            return ask("/rates")

    def shown(command: str) -> Any:
        return json.loads(page.prints(f"curl {command}"))

    assert page.prints("python run.py") == ""
    # What an earlier run left: it must be gone.
    SharedDict.create(name, capacity=10)["rates"] = "old"
    with servers.running(tmp_path / "log", "run.py") as server:
        servers.eventually("it answers", rates, server)
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: ask("/rates"), range(8)))
        where = f"http://127.0.0.1:{port}"
        assert answers == [shown(f"{where}/rates")] * 8

        shared = SharedDict.open(name)
        started = ask("/jobs", "POST")
        assert started.keys() == shown(f"-X POST {where}/jobs").keys()
        job = started["job"]
        assert ask(f"/jobs/{job}?at_least=20")["percent"] >= 20
        first = workers_of(server)
        assert len(first) == 2
        for worker in first:
            os.kill(worker, signal.SIGKILL)
        servers.eventually("two others", lambda: len(workers_of(server) - first) == 2, server)
        servers.eventually("they answer", rates, server)
        done = shared.watch(job, timeout=servers.GUARD)
        left = next(done)
        # Many ask; one of their workers goes on with it.
        with ThreadPoolExecutor(4) as clients:
            ends = clients.map(lambda _: ask(f"/jobs/{job}?at_least=100"), range(4))
            seen = [left]
            while seen[-1] != 100:
                seen.append(next(done))
            assert list(ends) == [shown(f"'{where}/jobs/JOB?at_least=100'")] * 4
        assert seen == list(range(left, 101, 20))

        assert servers.reply(port, "/jobs/unknown")[0] == 404
        assert server.end() == 0
    assert name not in shmtable.tables()
