"""Do the programs of the page about Docker do what the page says, where there is no Docker?

A mount namespace with a /dev/shm of its own, and in it PID namespaces, are what Docker makes
of the page's settings.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import pages
import servers
from provocations import UNSHARE

MOUNT = 'mount -t tmpfs -o size="$0" tmpfs /dev/shm && exec "$@"'


@pytest.fixture
def page(tmp_path: Path) -> pages.Page:
    return pages.Page("docker.md", tmp_path)


def printed(page: pages.Page, size: str, *arguments: str) -> str:
    """What Python prints in a mount namespace with a /dev/shm of a size."""
    command = [*UNSHARE, "sh", "-c", MOUNT, size, sys.executable, *arguments]
    process = subprocess.Popen(
        command,
        cwd=page.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=servers.GUARD)
    finally:
        # Whatever it started ends with it, if it failed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, errors) == (0, "")
    return output


def test_a_full_container_goes_on_with_what_it_has(page: pages.Page) -> None:
    shown = page.prints("python fill.py")
    assert printed(page, "64m", "fill.py") == shown
    assert printed(page, "256m", "fill.py") == shown.removeprefix("full\n")


SIZES = """
import os
from shmtable import SharedDict, SharedMemoryFullError
for options in ({}, {"capacity": 1_000_000}, {"capacity": 100_000}):
    with SharedDict(**options) as d:
        print(os.stat(f"/dev/shm/shmtable.{d.name}").st_blocks * 512)
kept = [SharedDict() for _ in range(64)]
for table in kept:
    table["small"] = 1
try:
    SharedDict(capacity=1_000_000)
except SharedMemoryFullError:
    print("full")
"""


def test_empty_tables_take_what_the_page_says(page: pages.Page) -> None:
    *sizes, last = printed(page, "64m", "-c", SIZES).split()
    text = (pages.FOLDER / "docker.md").read_text()
    shown = re.findall(r"^\| `SharedDict\(.*\| ([\d.]+) MB", text, re.MULTILINE)
    rounded = [f"{int(size) / 1e6:.{len(mb.partition('.')[2])}f}" for size, mb in zip(sizes, shown)]
    assert rounded == shown
    assert last == "full"


# Two containers share /dev/shm. One of them is killed, and a third one takes its place.
# The others end when they are told to.
CONTAINERS = """
import os, signal, subprocess, sys

def container(**options):
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "count.py"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)

def init(container):
    # The child of `unshare` is process 1 in there.
    with open(f"/proc/{container.pid}/task/{container.pid}/children") as children:
        return int(children.read())

# Of the one that is killed, `unshare` has something to say.
web, worker = container(), container(stderr=subprocess.DEVNULL)
counted = [int(one.stdout.readline()) for one in (web, worker, web, worker)]
os.kill(init(worker), signal.SIGKILL)
third = container()
counted += [int(one.stdout.readline()) for one in (web, third, web, third)]
for one in (web, third):
    os.kill(init(one), signal.SIGTERM)
counted += [int(line) for one in (web, worker, third) for line in one.stdout]
# Each may have counted once more, and ended before it said so.
print(len(set(counted)) == len(counted) >= max(counted) - 3, web.wait(60), third.wait(60))
print(worker.wait(60) != 0, os.listdir("/dev/shm"))
"""


def test_containers_that_share_memory_count_together(page: pages.Page) -> None:
    assert printed(page, "64m", "-c", CONTAINERS) == "True 0 0\nTrue ['shmtable.visits-1']\n"


def test_the_files_for_docker_are_well_formed(page: pages.Page) -> None:
    instructions = [line.split(None, 1) for line in page.files["Dockerfile"].splitlines()]
    names = [name for name, _ in instructions]
    assert names == ["FROM", "COPY", "RUN", "WORKDIR", "COPY", "CMD"]
    assert instructions[4][1] == "count.py ."
    command = yaml.safe_load(instructions[-1][1])
    assert command == ["python", "count.py"]
    assert command[1] in page.files

    services: dict[str, Any] = yaml.safe_load(page.files["compose.yaml"])["services"]
    assert services["web"] == {"build": ".", "ipc": "shareable", "shm_size": "256m"}
    assert services["worker"] == {"build": ".", "ipc": "service:web", "depends_on": ["web"]}
