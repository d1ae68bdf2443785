"""Does a watch see each value that stays, in order, and nothing else?"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from shmtable import MISSING, ClosedError, InvalidOptionError, SharedDict, WaitTimeoutError

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


@pytest.mark.parametrize("before", [MISSING, None, 1, [1], b"x" * 10_000])
def test_the_present_value_comes_first_and_at_once(d: ANYTHING, before: Any) -> None:
    if before is not MISSING:
        d["k"] = before
    watch = d.watch("k", 0)
    assert iter(watch) is watch
    assert next(watch) == before


def test_each_change_follows_and_no_value_is_missing(d: ANYTHING) -> None:
    watch = d.watch("k", workers.GUARD)
    assert next(watch) is MISSING
    for value in (1, 2, MISSING, None, [1], [1, 2], "x" * 1000, MISSING, 1):
        if value is MISSING:
            del d["k"]
        else:
            d["k"] = value
        assert next(watch) == value


def test_a_watch_is_woken_by_another_process(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def answer() -> None:
            for number in d.watch("question", workers.GUARD):
                if number is not MISSING:
                    d["answer"] = number * 2
                if number == 20:
                    return

        child = workers.fork(answer)
        answers = d.watch("answer", workers.GUARD)
        assert next(answers) is MISSING
        for number in range(1, 21):
            d["question"] = number
            assert next(answers) == number * 2
        workers.all_well([child])


def test_a_watch_of_a_fast_writer_skips_values_and_sees_the_last(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def count() -> None:
            d.wait("go", workers.GUARD)
            for number in range(1, 5001):
                d["k"] = number

        child = workers.fork(count)
        d["go"] = True
        seen = list(itertools.takewhile(lambda value: value != 5000, d.watch("k", workers.GUARD)))
        numbers = [value for value in seen if value is not MISSING]
        assert numbers == sorted(set(numbers))
        workers.all_well([child])


def test_a_value_that_is_stored_again_is_no_change_and_one_of_other_bytes_is(d: ANYTHING) -> None:
    d["k"] = 1
    watch = d.watch("k", 0.01)
    assert next(watch) == 1
    d["k"] = 1
    with pytest.raises(WaitTimeoutError):
        next(watch)
    d["k"] = 1.0
    assert type(next(watch)) is float


def test_changing_what_a_watch_gave_out_is_no_change(d: ANYTHING) -> None:
    d["k"] = [1]
    watch = d.watch("k", 0.01)
    next(watch).append(2)
    with pytest.raises(WaitTimeoutError, match="0.01 s for the key 'k', and its value has not"):
        next(watch)
    d["k"] = [1, 2]
    assert next(watch) == [1, 2]


def test_after_a_timeout_the_watch_goes_on(d: ANYTHING) -> None:
    watch = d.watch("k", 0)
    assert next(watch) is MISSING
    for _ in range(3):
        with pytest.raises(TimeoutError):
            next(watch)
    d["k"] = 1
    assert list(itertools.islice(watch, 1)) == [1]


def test_a_wrong_timeout_or_key_is_refused_at_once(d: ANYTHING) -> None:
    with pytest.raises(InvalidOptionError, match="timeout is"):
        d.watch("k", -1)
    with pytest.raises(TypeError):
        d.watch([])


def test_closing_the_handle_in_another_thread_ends_it(name: str) -> None:
    with SharedDict.create(name, capacity=100):
        waiting = SharedDict.open(name)
        watch = waiting.watch("k")
        assert next(watch) is MISSING
        timer = workers.soon(waiting.close)
        for _ in range(2):
            with pytest.raises(ClosedError):
                next(watch)
        timer.join()


def test_a_read_only_handle_watches_too(name: str) -> None:
    with (
        SharedDict.create(name, capacity=100) as d,
        SharedDict.open(name, read_only=True) as reader,
    ):
        watch = reader.watch("k", workers.GUARD)
        assert next(watch) is MISSING
        timer = workers.soon(d.update, {"k": 2})
        assert next(watch) == 2
        timer.join()


def test_threads_may_share_a_watch_and_each_gets_what_stays(d: ANYTHING) -> None:
    d["k"] = 0
    watch = d.watch("k", workers.GUARD)
    seen: list[int] = []

    def follow() -> None:
        for value in watch:
            seen.append(value)
            if value == 100:
                return

    def store() -> None:
        for number in range(1, 101):
            d["k"] = number

    done = threading.Event()

    def again() -> None:
        # One of the two may take the last value from the other.
        while not done.wait(0.01):
            d["k"] = 101 - (d["k"] == 101)

    helper = threading.Thread(target=again)
    helper.start()
    try:
        workers.together(follow, follow, store)
    finally:
        done.set()
        helper.join()
    assert seen.count(100) >= 2


def test_ctrl_c_ends_it(d: ANYTHING) -> None:
    def wait() -> None:
        watch = d.watch("k")
        assert next(watch) is MISSING
        with pytest.raises(KeyboardInterrupt):
            workers.soon(os.kill, os.getpid(), signal.SIGINT)
            next(watch)

    workers.all_well([workers.fork(wait)])


def test_a_watch_keeps_no_handle_alive_in_a_circle() -> None:
    class Own(SharedDict[str, int]):
        pass

    # `conftest` fails the test if the table stays.
    d = Own(capacity=10)
    d.own = d.watch("k")  # type: ignore[attr-defined]
    d.edited = d.edit("k", 1)  # type: ignore[attr-defined]
