"""Does the service of the page about gunicorn do what the page says?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import shmtable
from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import pages
import servers


def workers_of(server: servers.Program) -> set[int]:
    pid = server.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_the_service_goes_on_through_kills_and_reloads(name: str, tmp_path: Path) -> None:
    # What an earlier run left: it must be gone.
    SharedDict.create(name, capacity=10)["requests"] = 1000
    page = pages.Page("gunicorn.md", tmp_path, name, servers.free_port())
    port = page.port
    # Each client is another address of loopback: no rate limits what only looks.
    clients = (f"127.0.7.{number}" for number in range(1, 255))

    def figures() -> dict[str, int]:
        with contextlib.suppress(OSError):
            found: dict[str, int] = json.loads(servers.ask(port, "/figures", next(clients)))
            return found
        return {}

    def visit(number: int) -> str:
        with contextlib.suppress(OSError):
            return servers.ask(port, f"/page/{number}", next(clients))
        return "nobody"

    assert page.prints("gunicorn app:app") == ""
    command = ["gunicorn", "app:app", "--no-control-socket"]
    with servers.running(tmp_path / "log", *command) as server:
        servers.eventually("four workers", lambda: len(workers_of(server)) == 4, server)
        page.try_requests()
        shared = SharedDict.open(name)

        # All workers are killed while one renders a page and the others wait for it. On a
        # busy machine it may have been rendered before.
        first = workers_of(server)
        with ThreadPoolExecutor(3) as visitors:
            visits = [visitors.submit(visit, 8) for _ in range(3)]
            servers.eventually("all three ask", lambda: shared["requests"] == 5, server)
            for worker in first:
                os.kill(worker, signal.SIGKILL)
            assert {asked.result() for asked in visits} <= {"nobody", "page 8\n"}
        assert visit(8) == "page 8\n"
        before = figures()
        assert before["requests"] == 6
        assert before["rendered"] in (2, 3)

        second = workers_of(server)
        server.process.send_signal(signal.SIGHUP)
        servers.eventually("other workers", lambda: not workers_of(server) & second, server)
        servers.eventually("they answer", figures, server)
        assert visit(8) == "page 8\n"
        assert figures() == {**before, "requests": 7}

        # A minute may end meanwhile, hardly two.
        answers = Counter(servers.reply(port, "/figures", client="127.0.8.1")[0] for _ in range(90))
        assert 30 <= answers[200] <= 60
        assert answers[200] + answers[429] == 90

        # When the table is full of addresses, they are forgotten.
        for number in range(100_000):
            with contextlib.suppress(MemoryError):
                shared["rate", number] = (0, 1)
        assert visit(8) == "page 8\n"
        assert len(shared) < 100
        assert server.end() == 0
    assert name not in shmtable.tables()
