"""Does a wait for a change end with the change, and only with one?"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from shmtable import MISSING, ClosedError, SharedDict, ValueTypeError, WaitTimeoutError

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


def test_a_value_that_is_another_already_is_returned_at_once(d: ANYTHING) -> None:
    d["k"] = [1]
    assert d.wait_change("k", [2]) == [1]
    assert d.wait_change("k", MISSING) == [1]
    assert d.wait_change("k", None, timeout=0) == [1]
    assert d.wait_change("other", 1) is MISSING


@pytest.mark.parametrize("seen", ["old", MISSING])
@pytest.mark.parametrize("new", ["new", MISSING, None])
def test_it_returns_what_another_process_makes_of_the_value(
    name: str, seen: Any, new: Any
) -> None:
    with SharedDict.create(name, capacity=100) as d:
        if seen is not MISSING:
            d["k"] = seen
        if seen is new:
            return

        def change() -> None:
            d.wait("waiting", workers.GUARD)
            assert d.compare_exchange("k", seen, new)

        child = workers.fork(change)
        d["waiting"] = True
        assert d.wait_change("k", seen, workers.GUARD) is new or d["k"] == new
        workers.all_well([child])


def test_following_a_value_sees_its_last_state(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def count() -> None:
            for number in range(1, 2001):
                d["k"] = number

        child = workers.fork(count)
        seen: Any = MISSING
        states = []
        while seen != 2000:
            seen = d.wait_change("k", seen, workers.GUARD)
            states.append(seen)
        assert states == sorted(set(states))
        workers.all_well([child])


@pytest.mark.parametrize("equal", [1, 1.0, True])
def test_a_value_that_equals_what_was_seen_has_not_changed(d: ANYTHING, equal: Any) -> None:
    d["k"] = equal
    with pytest.raises(WaitTimeoutError, match="'k'.*has not changed") as raised:
        d.wait_change("k", 1, 0.05)
    assert isinstance(raised.value, TimeoutError)


def test_a_value_that_is_stored_again_in_another_form_has_not_changed(d: ANYTHING) -> None:
    d["k"] = 1
    timer = workers.soon(lambda: (d.update(k=1.0), d.update(k=True), d.update(k=2)))
    assert d.wait_change("k", 1, workers.GUARD) == 2
    timer.join()


def test_a_value_that_does_not_equal_itself_has_not_changed(d: ANYTHING) -> None:
    d["k"] = [float("nan")]
    d["array"] = numpy.arange(3)
    for key in ("k", "array"):
        with pytest.raises(WaitTimeoutError):
            d.wait_change(key, d[key], 0.01)
    d["k"] = [1.0]
    assert d.wait_change("k", [float("nan")]) == [1.0]
    changed = d.wait_change("array", numpy.arange(1, 4))
    assert list(changed) == [0, 1, 2]


def test_what_could_not_be_stored_cannot_have_been_seen() -> None:
    with SharedDict({"k": 1}, capacity=10, codec="msgpack") as d:
        with pytest.raises(ValueTypeError):
            d.wait_change("k", object())


def test_a_read_only_handle_waits_for_changes_too(name: str) -> None:
    with (
        SharedDict.create(name, capacity=100) as d,
        SharedDict.open(name, read_only=True) as reader,
    ):
        d["k"] = 1
        timer = workers.soon(d.update, {"k": 2})
        assert reader.wait_change("k", 1, workers.GUARD) == 2
        timer.join()


def test_closing_the_handle_in_another_thread_ends_it(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d["k"] = 1
        waiting = SharedDict.open(name)
        timer = workers.soon(waiting.close)
        with pytest.raises(ClosedError):
            waiting.wait_change("k", 1)
        timer.join()


def test_ctrl_c_ends_it(d: ANYTHING) -> None:
    def wait() -> None:
        with pytest.raises(KeyboardInterrupt):
            workers.soon(os.kill, os.getpid(), signal.SIGINT)
            d.wait_change("k", MISSING)

    workers.all_well([workers.fork(wait)])
