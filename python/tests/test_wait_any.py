"""Does a wait for several keys end with any of them, and only with one of them?"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from shmtable import ClosedError, InvalidOptionError, SharedDict, WaitTimeoutError

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


def test_of_keys_that_are_there_the_first_in_their_order_is_returned(d: ANYTHING) -> None:
    d.update({"a": 1, "b": None})
    assert d.wait_any(["c", "b", "a"]) == ("b", None)
    assert d.wait_any(("a", "b"), timeout=0) == ("a", 1)
    assert d.wait_any(iter(["a"])) == ("a", 1)


def test_the_key_is_the_object_that_was_given(d: ANYTHING) -> None:
    d[1] = "one"
    key, value = d.wait_any([1.0])
    assert (type(key), value) == (float, "one")


@pytest.mark.parametrize("count", [1, 2, 100, 1000])
def test_it_is_woken_by_another_process_whichever_key_it_stores(name: str, count: int) -> None:
    with SharedDict.create(name, capacity=100_000) as d:
        keys = list(range(count))
        order = [keys[0], keys[-1], keys[count // 2]]

        def store() -> None:
            for turn, key in enumerate(order):
                d.wait(("turn", turn), workers.GUARD)
                d[key] = ["value", turn]

        child = workers.fork(store)
        for turn, key in enumerate(order):
            d["turn", turn] = True
            assert d.wait_any(keys, workers.GUARD) == (key, ["value", turn])
            del d[key]
        workers.all_well([child])


def test_other_keys_do_not_end_it(d: ANYTHING) -> None:
    timer = workers.soon(d.update, {"other": 1})
    with pytest.raises(WaitTimeoutError, match=r"0.3 s for the key 'a', and 1 more, and none has a"):
        d.wait_any(["a", "b"], 0.3)
    timer.join()
    assert d["other"] == 1


def test_without_keys_it_would_never_end(d: ANYTHING) -> None:
    with pytest.raises(InvalidOptionError, match="no keys"):
        d.wait_any([])
    with pytest.raises(TypeError):
        d.wait_any(5)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="timeout is"):
        d.wait_any(["a"], -1)


def test_a_read_only_handle_waits_too(name: str) -> None:
    with (
        SharedDict.create(name, capacity=100) as d,
        SharedDict.open(name, read_only=True) as reader,
    ):
        timer = workers.soon(d.update, {"k": 2})
        assert reader.wait_any(["j", "k"], workers.GUARD) == ("k", 2)
        timer.join()


def test_closing_the_handle_in_another_thread_ends_it(name: str) -> None:
    with SharedDict.create(name, capacity=100):
        waiting = SharedDict.open(name)
        timer = workers.soon(waiting.close)
        with pytest.raises(ClosedError):
            waiting.wait_any(["a", "b"])
        timer.join()


def test_ctrl_c_ends_it(d: ANYTHING) -> None:
    def wait() -> None:
        with pytest.raises(KeyboardInterrupt):
            workers.soon(os.kill, os.getpid(), signal.SIGINT)
            d.wait_any(["a", "b"])

    workers.all_well([workers.fork(wait)])
