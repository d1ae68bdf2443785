"""Do signal handlers and other threads run during one long call, between its turns?"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


def others_run_during(call: Callable[[], object]) -> bool:
    """Whether another thread runs in the middle of a call.

    The calls consist of no bytecode: the interpreter hands over to no thread until the
    whole call returns, unless the table lets it.
    """
    moments: list[float] = []
    stop = threading.Event()

    def note_the_time() -> None:
        while not stop.is_set():
            moments.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=note_the_time)
    thread.start()
    try:
        begin = time.monotonic()
        call()
        end = time.monotonic()
    finally:
        stop.set()
        thread.join()
    quarter = (end - begin) / 4
    return any(begin + quarter < moment < end - quarter for moment in moments)


@pytest.fixture
def full(new: Callable[..., ANYTHING]) -> ANYTHING:
    """A table of some turns."""
    return new(zip(range(20_000), range(20_000)), capacity=20_000)


def test_others_run_while_scans_find_nothing(full: ANYTHING) -> None:
    found = []
    assert others_run_during(
        lambda: found.append(sum(map(len, map(list, map(full.scan, ["a"] * 300)))))
    )
    assert found == [0]


def test_others_run_while_scans_find_an_entry_in_each_turn(full: ANYTHING) -> None:
    for number in range(0, 20_000, 50):
        del full[number]
        full[f"a{number}"] = number
    found = []
    assert others_run_during(
        lambda: found.append(sum(map(len, map(list, map(full.scan, ["a"] * 300)))))
    )
    assert found == [300 * 400]


def test_others_run_while_pairs_are_stored(full: ANYTHING) -> None:
    keys = itertools.islice(itertools.cycle(range(1000)), 1_000_000)
    assert others_run_during(lambda: full.set_many(zip(keys, itertools.count())))
    assert full[999] == 999_999


def test_others_run_while_keys_are_popped(full: ANYTHING) -> None:
    popped = []
    keys = itertools.islice(itertools.cycle(range(20_000)), 1_000_000)
    assert others_run_during(lambda: popped.extend(full.pop_many(keys)))
    assert popped[:20_000] == list(range(20_000))
    assert popped[20_000:] == [None] * 980_000
    assert not full


def test_others_run_while_a_table_is_saved_and_loaded(tmp_path: Path) -> None:
    file = tmp_path / "saved.dump"
    with ANYTHING({number: "x" * 5000 for number in range(20_000)}, capacity=20_000) as large:
        assert others_run_during(lambda: large.save(file))
    loaded = []
    assert others_run_during(lambda: loaded.append(ANYTHING.load(file)))
    with loaded[0] as found:
        assert len(found) == 20_000


@pytest.mark.parametrize(
    "call",
    [
        lambda full: sum(map(len, map(list, map(full.scan, itertools.repeat("a"))))),
        lambda full: full.set_many(zip(itertools.cycle(range(1000)), itertools.count())),
        lambda full: sum(map(len, map(full.pop_many, itertools.repeat(range(20_000))))),
    ],
    ids=["scan", "set_many", "pop_many"],
)
def test_an_endless_call_can_be_interrupted(
    full: ANYTHING, call: Callable[[ANYTHING], object]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        workers.soon(os.kill, os.getpid(), signal.SIGINT)
        call(full)
