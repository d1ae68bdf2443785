"""Do tables live as long as they should and no longer, without complaints?

Each scenario is a program of its own: what it prints to stderr, and what is in
/dev/shm afterwards, is what a user sees.
"""

from __future__ import annotations

import gc
import pickle
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers
from programs import PRELUDE, WITHOUT, ended_alone, goes_well

ANYTHING = SharedDict[Any, Any]


# The end of a program


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit()",
        "sys.exit(0)",
        "del d",
        "d.close()",
        "d.close(); d.close()",
        "with d: pass",
        "d = None; gc.collect()",
        "d.unlink()",
        "SharedDict.unlink(d.name)",
        "iterator = iter(d); next(iterator)",
        "cycle = [d]; cycle.append(cycle); del cycle, d",
        "import pickle; pickle.dumps(d)",
        "import pickle; pickle.dumps(d); del d; gc.collect()",
        "import pickle; pickle.dumps(d); d.close()",
        "import pickle; other = pickle.loads(pickle.dumps(d)); other['b'] = 2",
        "other = SharedDict.open(d.name); del d; other['b'] = 2",
        "import atexit; atexit.register(lambda: d.update(b=2))",
        "import threading; threading.Thread(target=lambda: d.wait('b', 0.2), daemon=True).start()",
        "import builtins; builtins.kept = d",
        "sys.modules['kept'] = d",
    ],
)
def test_an_anonymous_table_is_gone_after_a_normal_end(end: str) -> None:
    goes_well(end)


def test_an_anonymous_table_is_gone_after_an_exit_code() -> None:
    assert ended_alone(PRELUDE + "sys.exit(3)")[:2] == (3, "")
    assert ended_alone(PRELUDE + "sys.exit('a message')")[:2] == (1, "a message\n")


@pytest.mark.parametrize(
    "end",
    [
        "raise ValueError('deliberate')",
        "def f():\n    1 / 0\nf()",
        "raise KeyboardInterrupt",
        "try:\n    1 / 0\nfinally:\n    gc.collect()",
    ],
)
def test_an_anonymous_table_is_gone_after_an_exception(end: str) -> None:
    exit_code, errors, _ = ended_alone(PRELUDE + end)
    expected = workers.ended(workers.start(WITHOUT + end))
    assert expected[0] != 0
    assert (exit_code, errors) == (expected[0], expected[2])


def interrupted(code: str) -> tuple[int, str, str]:
    """Runs a program until it prints a line, sends it SIGINT then, and reads its errors."""
    program = workers.start(code)
    assert program.stdout is not None
    name = program.stdout.readline().strip()
    assert workers.exists(name) or name == "none"
    # It is not yet where it is to be interrupted.
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    exit_code, _, errors = workers.ended(program)
    return exit_code, errors, name


def test_an_anonymous_table_is_gone_after_ctrl_c() -> None:
    end = "time.sleep(100)"
    exit_code, errors, name = interrupted(PRELUDE + end)
    assert not workers.exists(name)
    assert (exit_code, errors) == interrupted(WITHOUT + end)[:2]


def test_an_anonymous_table_is_gone_after_ctrl_c_in_a_wait() -> None:
    exit_code, errors, name = interrupted(PRELUDE + "d.wait('never')")
    assert not workers.exists(name)
    assert exit_code == -signal.SIGINT
    lines = errors.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "KeyboardInterrupt"
    assert errors.count("Traceback") == 1


def test_a_program_that_is_told_to_end_by_sigterm_may_clean_up() -> None:
    names = goes_well(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(100)"
    )
    assert len(names) == 1


class Noting(SharedDict[Any, Any]):
    """Notes the names of tables before they are filled."""

    __slots__ = ()
    names: list[str] = []

    def set_many(self, entries: Any) -> None:
        self.names.append(self.name)
        super().set_many(entries)


@pytest.mark.parametrize(
    "wrong",
    [{"b": object}, [1], [([], 2)], {number: number for number in range(2000)}, 7.5],
    ids=["value", "no pair", "key", "too many", "no mapping"],
)
def test_a_table_that_could_not_be_filled_goes_with_its_exception(wrong: Any) -> None:
    Noting.names.clear()
    with pytest.raises((TypeError, ValueError, MemoryError)) as raised:
        Noting(wrong, capacity=10, codec="json")
    (name,) = Noting.names
    raised.value.__traceback__ = None
    del raised
    gc.collect()
    assert not workers.exists(name)


# Handles


def test_an_anonymous_table_goes_with_its_last_reference() -> None:
    d: ANYTHING | None = SharedDict({"a": 1}, capacity=10)
    assert d is not None
    name = d.name
    assert d.anonymous
    assert workers.exists(name)
    iterator = iter(d)
    d = None
    gc.collect()
    # An iterator is a reference.
    assert workers.exists(name)
    assert list(iterator) == ["a"]
    del iterator
    gc.collect()
    assert not workers.exists(name)


def test_views_and_bound_methods_are_references() -> None:
    kept: list[Callable[[ANYTHING], Any]] = [
        lambda d: d.keys(),
        lambda d: d.values(),
        lambda d: d.items(),
        lambda d: d.get,
        lambda d: iter(d.items()),
    ]
    for keep in kept:
        d = SharedDict({"a": 1}, capacity=10)
        name = d.name
        kept_of_it = keep(d)
        del d
        gc.collect()
        assert workers.exists(name)
        del kept_of_it
        gc.collect()
        assert not workers.exists(name)


def test_with_and_close_remove_an_anonymous_table() -> None:
    with SharedDict(capacity=10) as d:
        name = d.name
        assert workers.exists(name)
    assert d.closed
    assert not workers.exists(name)
    d = SharedDict(capacity=10)
    name = d.name
    d.close()
    assert not workers.exists(name)


def test_with_removes_an_anonymous_table_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), SharedDict(capacity=10) as d:
        name = d.name
        1 / 0  # noqa: B018
    assert d.closed
    assert not workers.exists(name)


def test_closing_another_handle_leaves_an_anonymous_table() -> None:
    with SharedDict({"a": 1}, capacity=10) as d:
        SharedDict.open(d.name).close()
        with pickle.loads(pickle.dumps(d)):
            pass
        assert workers.exists(d.name)
        assert d["a"] == 1


def test_close_may_be_called_again() -> None:
    d = SharedDict({"a": 1}, capacity=10)
    for _ in range(3):
        d.close()
        assert d.closed
        assert repr(d) == "<closed SharedDict>"
    with d:
        pass


def test_closing_frees_the_place_of_the_handle(name: str) -> None:
    with SharedDict.create(name, capacity=10, max_participants=2) as d:
        for number in range(50):
            with SharedDict.open(name) as other:
                other["a"] = number
        for number in range(5):
            other = SharedDict.open(name)
            other["a"] = number
            del other
            gc.collect()
        assert d.stats()["participants"] == 1


def test_a_thousand_tables_come_and_go() -> None:
    for number in range(1000):
        d = SharedDict({"number": number}, capacity=10)
        name = d.name
        assert d["number"] == number
        del d
        assert not workers.exists(name)


@pytest.mark.parametrize(
    "way",
    [SharedDict.create, lambda name: SharedDict.create(name, replace=True), SharedDict.open],
)
def test_none_is_no_name_of_a_table_to_create_or_open(way: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"the name is None, .* write SharedDict\(\)"):
        way(None)


def test_a_star_import_leaves_the_standard_librarys_gc_alone() -> None:
    names: dict[str, Any] = {"gc": gc}
    exec("from shmtable import *", names)
    assert names["gc"] is gc
    assert names["SharedDict"] is SharedDict
    assert shmtable.gc.__module__ == "shmtable"
