"""Programs that serve: started, asked, and ended.

They listen on loopback, on a port that the system chose, or read a folder. Each is in a
process group of its own, so that its end takes its workers with it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
# Seconds after which something hangs: far more than anything takes on a busy machine.
GUARD = 120.0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


class Program:
    """A program that runs, and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    @property
    def printed(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self, how: int = signal.SIGTERM) -> int:
        """Sends the program a signal, and waits for its end."""
        self.process.send_signal(how)
        return self.process.wait(GUARD)


@contextlib.contextmanager
def running(log: Path, *command: str, **variables: str) -> Iterator[Program]:
    """Runs a module or a file of Python (`command` begins with its name) while the block runs."""
    how = [] if command[0].endswith(".py") else ["-m"]
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *how, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **variables},
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield Program(process, log)
    finally:
        # The group may be gone already.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(GUARD)


def eventually(what: str, holds: Callable[[], object], program: Program | None = None) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + GUARD
    while not holds():
        printed = program.printed if program else ""
        assert time.monotonic() < deadline, f"{what}: never\n{printed}"
        if program and program.process.poll() is not None:
            raise AssertionError(f"{what}: the program ended\n{printed}")
        time.sleep(0.02)


def reply(port: int, path: str, method: str = "GET", client: str = "") -> tuple[int, str]:
    """The status and the body of an answer. `client` is the address that asks, if it matters."""
    source = (client, 0) if client else None
    connection = http.client.HTTPConnection("127.0.0.1", port, GUARD, source_address=source)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def ask(port: int, path: str, client: str = "") -> str:
    """The answer to a request, which must be a good one."""
    status, body = reply(port, path, client=client)
    assert status == 200, f"{status} {body}"
    return body


def answers(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
        return ask(port, "/ready") == "ready"
    return False


def ask_many(port: int, path: str, times: int) -> int:
    """Asks one request after the other; how many were answered well.

    One whose worker is killed is answered by nobody, and may have been done or not.
    """
    answered = 0
    for _ in range(times):
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(port, path)
            answered += 1
    return answered
