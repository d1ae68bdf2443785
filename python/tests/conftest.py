"""Fixtures of all tests: names, small tables, and a check for segments left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import struct
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

# Shells start programs in the background with Ctrl-C ignored, and so would be all that
# they start: tests send it to children, who are to notice.
signal.signal(signal.SIGINT, signal.default_int_handler)

SEGMENTS = Path("/dev/shm")
PREFIX = "shmtable."

# A check is to fail because of a change, not by chance: the examples are the same in
# every run. `--hypothesis-profile=explore` looks for new ones.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "explore", hypothesis.settings.get_profile("repeatable"), derandomize=False, max_examples=5000
)
hypothesis.settings.load_profile("repeatable")
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"shmtable-hypothesis-{os.getuid()}")


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no other table has; whatever is called so is removed after the test."""
    name = f"test-{os.getpid()}-{uuid.uuid4().hex}"
    yield name
    with contextlib.suppress(FileNotFoundError):
        SharedDict.unlink(name)


@pytest.fixture
def new() -> Iterator[Callable[..., SharedDict[Any, Any]]]:
    """Makes small anonymous tables, and closes them after the test."""
    with contextlib.ExitStack() as made:

        def new(initial: Any = None, /, **options: Any) -> SharedDict[Any, Any]:
            return made.enter_context(SharedDict(initial, **{"capacity": 1000, **options}))

        yield new


@pytest.fixture
def d(new: Callable[..., SharedDict[Any, Any]]) -> SharedDict[Any, Any]:
    """A small empty table."""
    return new()


@pytest.fixture
def there(name: str) -> Iterator[SharedDict[Any, Any]]:
    """A table of a name, with entries of every kind."""
    options = {"capacity": 1000, "value_space": 64_000, "max_participants": 16}
    with SharedDict(workers.THERE, name=name, **options) as d:
        yield d


@pytest.fixture(params=workers.METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    """Starts processes in one way, and the test runs for each way."""
    return workers.context(request.param)


@pytest.fixture(autouse=True)
def leaves_no_segment() -> Iterator[None]:
    """Fails a test that leaves a segment behind."""
    before = segments()
    yield
    # Others make tables too, here and elsewhere; theirs go soon, or are theirs.
    for patience in (None, 0.0, 0.1, 0.4, 1.5, 3.0):
        if patience is not None:
            gc.collect()
            time.sleep(patience)
        left = {name for name in segments() - before if not is_of_others(name)}
        if not left:
            return
    pytest.fail(f"left behind in {SEGMENTS}: {', '.join(sorted(left))}")


def segments() -> set[str]:
    return {name for name in os.listdir(SEGMENTS) if name.startswith(PREFIX)}


def is_of_others(name: str) -> bool:
    """Whether a living process has it open that is neither this one nor its descendant."""
    # As docs/format.md has it: the participant slots, of 8 words, follow a header of 512
    # words, whose eighth is their number; the second word of each is the process's id.
    try:
        with open(SEGMENTS / name, "rb") as segment:
            words = struct.unpack("<512Q", segment.read(4096))
            slots = segment.read(64 * min(words[8], 4096))
    except (OSError, struct.error):
        return True
    pids = {struct.unpack_from("<Q", slots, at)[0] for at in range(8, len(slots), 64)}
    return any(pid != 0 and is_alive(pid) and not is_family(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def is_family(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
    return False
