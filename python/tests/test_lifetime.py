"""Do tables live as long as they should and no longer, and does nobody complain?

Each scenario is a program of its own: what it prints to stderr, and what is in
/dev/shm afterwards, is what a user sees.
"""

from __future__ import annotations

import gc
import inspect
import pickle
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import ClosedError, NotFoundError, SharedDict, tables

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]

PRELUDE = """
import gc, multiprocessing, os, signal, sys, time
from shmtable import SharedDict
d = SharedDict({'a': 1}, capacity=100)
print(d.name, flush=True)
"""
# The same number of lines, without a table: what Python itself prints.
WITHOUT = """
import gc, multiprocessing, os, signal, sys, time


print('none', flush=True)
"""


def ended_alone(code: str) -> tuple[int, str, list[str]]:
    """A program's exit code, errors and output, each line of which names a table that is gone."""
    exit_code, output, errors = workers.ended(workers.start(code))
    assert "resource_tracker" not in errors
    names = output.split()
    assert names
    assert not [name for name in names if workers.exists(name)], errors
    return exit_code, errors, names


def goes_well(end: str, prelude: str = PRELUDE) -> list[str]:
    """Runs a program that makes a table and ends like this; the tables it named are gone."""
    exit_code, errors, names = ended_alone(prelude + end)
    assert (exit_code, errors) == (0, "")
    return names


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


CALLS: dict[str, Callable[[ANYTHING], object]] = {
    "__getitem__": lambda d: d["a"],
    "__setitem__": lambda d: d.__setitem__("a", 1),
    "__delitem__": lambda d: d.__delitem__("a"),
    "__contains__": lambda d: "a" in d,
    "__iter__": lambda d: iter(d),
    "__len__": len,
    "__bool__": bool,
    "__eq__": lambda d: d == {},
    "__ne__": lambda d: d != {},
    "__or__": lambda d: d | {},
    "__ror__": lambda d: {} | d,
    "__ior__": lambda d: d.__ior__({"a": 1}),
    "__reduce__": pickle.dumps,
    "__copy__": lambda d: d.__copy__(),
    "__deepcopy__": lambda d: d.__deepcopy__({}),
    "_iter_values": lambda d: iter(d.values()),
    "_iter_items": lambda d: iter(d.items()),
    "get": lambda d: d.get("a"),
    "pop": lambda d: d.pop("a", None),
    "popitem": lambda d: d.popitem(),
    "setdefault": lambda d: d.setdefault("a", 1),
    "clear": lambda d: d.clear(),
    "copy": lambda d: d.copy(),
    "snapshot": lambda d: d.snapshot(),
    "stats": lambda d: d.stats(),
    "get_many": lambda d: d.get_many(["a"]),
    "set_many": lambda d: d.set_many({"a": 1}),
    "update": lambda d: d.update(a=1),
    "pop_many": lambda d: d.pop_many(["a"]),
    "remove_many": lambda d: d.remove_many(["a"]),
    "remove_prefix": lambda d: d.remove_prefix("a"),
    "retain": lambda d: d.retain(lambda key, value: False),
    "scan": lambda d: d.scan("a"),
    "replace": lambda d: d.replace("a", 1),
    "check": lambda d: d.check(),
    "repair": lambda d: d.repair(),
    "wait_change": lambda d: d.wait_change("a", 1, 0),
    "wait": lambda d: d.wait("a", 0),
    "add": lambda d: d.add("a"),
    "compare_exchange": lambda d: d.compare_exchange("a", 1, 2),
    "update_value": lambda d: d.update_value("a", str),
    "get_or_compute": lambda d: d.get_or_compute("a", int),
    "unlink": lambda d: d.unlink(),
    "keys": lambda d: list(d.keys()),
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "capacity": lambda d: d.capacity,
    "unlinked": lambda d: d.unlinked,
    "allow_pickle": lambda d: d.allow_pickle,
}


@pytest.mark.parametrize("method", CALLS)
def test_each_method_of_a_closed_handle_raises_closed_error(method: str) -> None:
    d = SharedDict({"a": 1}, capacity=10)
    d.close()
    with pytest.raises(ClosedError, match="closed") as raised:
        CALLS[method](d)
    assert isinstance(raised.value, ValueError)


def test_a_closed_handle_still_tells_what_the_table_was(name: str) -> None:
    def told(d: ANYTHING) -> list[object]:
        return [d.name, d.codec, d.read_only, d.anonymous]

    SharedDict(name=name, capacity=10, codec="json").close()
    with SharedDict.open(name, read_only=True) as named, SharedDict(capacity=10) as anonymous:
        before = [told(named), told(anonymous)]
    assert [told(named), told(anonymous)] == before
    assert before[0] == [name, "json", True, False]
    with SharedDict.open(named.name) as again:
        assert again == {}
    for handle in (named, anonymous):
        with pytest.raises(ClosedError):
            pickle.dumps(handle)


def test_a_handle_that_was_closed_before_its_first_use_tells_its_name(name: str) -> None:
    with SharedDict(name=name, capacity=10) as d:
        unused = pickle.loads(pickle.dumps(d))
    unused.close()
    assert (unused.name, unused.read_only) == (name, False)
    with pytest.raises(ClosedError):
        _ = unused.codec


def test_no_method_was_forgotten() -> None:
    """Each public member is in the list above, or known to work on a closed handle."""
    still_work = {"close", "closed", "open", "create", "fromkeys"}
    still_work |= {"name", "codec", "read_only", "anonymous"}
    public = {name for name in dir(SharedDict) if not name.startswith("_")}
    assert public - still_work <= set(CALLS)
    own = {name for name, _ in inspect.getmembers(SharedDict) if name in vars(SharedDict)}
    dunders = {name for name in own if name.startswith("__")} - set(dir(object))
    still_work |= {"__enter__", "__exit__", "__weakref__", "__slots__", "__parameters__"}
    still_work |= {"__orig_bases__", "__abstractmethods__", "__module__", "__annotations__"}
    still_work |= {"__static_attributes__", "__firstlineno__", "__class_getitem__"}
    assert {name for name in dunders - still_work if callable(getattr(SharedDict, name))} <= set(
        CALLS
    )


def test_an_iterator_of_a_closed_handle_raises_closed_error() -> None:
    for begin in (iter, lambda d: iter(d.values()), lambda d: iter(d.items())):
        d: ANYTHING = SharedDict({"a": 1, "b": 2}, capacity=10)
        iterator = begin(d)
        next(iterator)
        d.close()
        with pytest.raises(ClosedError):
            next(iterator)


# Names


def test_a_named_table_lives_until_unlink(name: str) -> None:
    code = f"""
from shmtable import SharedDict
with SharedDict(name={name!r}, capacity=10) as d:
    print(d.add('runs'))
"""
    assert [workers.run(code) for _ in range(3)] == ["1\n", "2\n", "3\n"]
    assert workers.exists(name)
    SharedDict.unlink(name)
    assert not workers.exists(name)
    assert workers.run(code) == "1\n"


@pytest.mark.parametrize(
    "end",
    ["", "sys.exit(3)", "raise ValueError", "del d", "os.kill(os.getpid(), 9)", "1 / 0", "d.close()"],
)
def test_no_end_of_a_program_removes_a_named_table(name: str, end: str) -> None:
    workers.ended(
        workers.start(
            f"import os, sys\nfrom shmtable import SharedDict\n"
            f"d = SharedDict({{'a': 1}}, name={name!r}, capacity=10)\n{end}"
        )
    )
    with SharedDict.open(name) as d:
        assert d.copy() == {"a": 1}


@pytest.mark.parametrize("way", ["of the handle", "by the name"])
def test_whoever_has_a_table_open_goes_on_after_unlink(name: str, way: str) -> None:
    with SharedDict.create(name, capacity=10) as d, SharedDict.open(name) as other:
        if way == "of the handle":
            d.unlink()
        else:
            SharedDict.unlink(name)
        assert not workers.exists(name)
        with pytest.raises(NotFoundError):
            SharedDict.open(name)
        other["a"] = 1
        assert d["a"] == 1
        # The name is free for a table of its own.
        with SharedDict.create(name, capacity=10) as new:
            assert "a" not in new
            new["a"] = 2
            assert d["a"] == 1


def test_unlinking_twice_is_a_file_not_found_error(name: str) -> None:
    with SharedDict.create(name, capacity=10) as d:
        d.unlink()
        with pytest.raises(FileNotFoundError):
            d.unlink()
        with pytest.raises(FileNotFoundError):
            SharedDict.unlink(name)


def test_an_anonymous_table_may_be_unlinked_early() -> None:
    with SharedDict({"a": 1}, capacity=10) as d, SharedDict.open(d.name) as other:
        d.unlink()
        assert not workers.exists(d.name)
        other["b"] = 2
        assert d.copy() == {"a": 1, "b": 2}


def test_closing_an_unlinked_anonymous_table_leaves_one_that_took_its_name() -> None:
    d = SharedDict(capacity=10)
    name = d.name
    d.unlink()
    d.close()
    with SharedDict.create(name, capacity=10) as taken:
        gc.collect()
        assert workers.exists(name)
        taken.unlink()


def test_tables_lists_named_and_anonymous_tables(name: str) -> None:
    with SharedDict.create(name, capacity=10), SharedDict(capacity=10) as anonymous:
        assert {name, anonymous.name} <= set(tables())
        assert all(isinstance(found, str) for found in tables())
        also = workers.run("import shmtable; print(*shmtable.tables(), sep='\\n')").splitlines()
        assert {name, anonymous.name} <= set(also)
    assert name in tables()
    assert anonymous.closed
    SharedDict.unlink(name)
    assert name not in tables()


def test_tables_does_not_list_what_is_gone() -> None:
    with SharedDict(capacity=10) as d:
        name = d.name
        assert name in tables()
    assert name not in tables()


# Children


@pytest.mark.parametrize("method", workers.METHODS)
def test_a_table_that_a_child_made_is_gone_when_the_child_is(method: str) -> None:
    context = workers.context(method)
    here, there = context.Pipe()
    child = context.Process(target=workers.make_anonymous, args=(there,))
    child.start()
    assert here.poll(workers.GUARD)
    name = here.recv()
    workers.joined(child)
    assert name.startswith("anon-")
    assert not workers.exists(name)


@pytest.mark.parametrize("method", workers.METHODS)
def test_tables_of_children_and_parents_are_gone_after_a_program(method: str) -> None:
    names = goes_well(
        f"""
import workers
if __name__ == '__main__':
    context = multiprocessing.get_context({method!r})
    here, there = context.Pipe()
    child = context.Process(target=workers.make_anonymous, args=(there,))
    child.start()
    print(here.recv())
    child.join()
    assert child.exitcode == 0
    child = context.Process(target=workers.count, args=(d,))
    child.start()
    child.join()
    assert child.exitcode == 0 and d['count'] == 1
"""
    )
    assert len(set(names)) == 2


@pytest.mark.parametrize("method", workers.METHODS)
def test_pools_end_without_complaints(method: str) -> None:
    goes_well(
        f"""
import workers
from itertools import repeat
if __name__ == '__main__':
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert sorted(pool.map(workers.count, repeat(d, 10))) == list(range(1, 11))
    from concurrent.futures import ProcessPoolExecutor
    context = multiprocessing.get_context({method!r})
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert sorted(pool.map(workers.count, repeat(d, 10))) == list(range(11, 21))
"""
    )


def test_joblib_ends_without_complaints() -> None:
    goes_well(
        """
import workers
from joblib import Parallel, delayed
if __name__ == '__main__':
    Parallel(n_jobs=2)(delayed(workers.count)(d) for _ in range(10))
    assert d['count'] == 10
"""
    )


@pytest.mark.parametrize(
    "child",
    [
        "os._exit(0)",
        "sys.exit(0)",
        "pass",
        "d['b'] = 2",
        "d.close()",
        "del d; gc.collect()",
        "d.close(); sys.exit(0)",
        "mine = SharedDict(capacity=10); print(mine.name, flush=True)",
        "mine = SharedDict(capacity=10); print(mine.name, flush=True); mine.close()",
        "import pickle; pickle.dumps(d)",
    ],
)
def test_a_table_outlives_a_forked_child_of_its_creator(child: str) -> None:
    goes_well(
        f"""
if os.fork() == 0:
    {child}
else:
    assert os.wait()[1] == 0
    assert os.path.exists('/dev/shm/shmtable.' + d.name)
    assert d['a'] == 1
    d['c'] = 3
    assert SharedDict.open(d.name)['c'] == 3
"""
    )


@pytest.mark.parametrize("child", ["d['b'] = 2", "d.close()", "del d", "sys.exit(0)"])
def test_a_table_outlives_a_child_of_multiprocessing_that_inherited_it(child: str) -> None:
    goes_well(
        f"""
def work():
    global d
    {child}
process = multiprocessing.get_context('fork').Process(target=work)
process.start()
process.join()
assert process.exitcode == 0
assert os.path.exists('/dev/shm/shmtable.' + d.name)
assert SharedDict.open(d.name)['a'] == 1
"""
    )


def test_a_table_outlives_a_child_of_its_creator_that_fails() -> None:
    exit_code, errors, _ = ended_alone(
        PRELUDE
        + """
if os.fork() == 0:
    raise ValueError('deliberate')
assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
assert SharedDict.open(d.name)['a'] == 1
"""
    )
    assert exit_code == 0
    assert errors.splitlines()[-1] == "ValueError: deliberate"
    assert errors.count("Traceback") == 1


def test_workers_that_have_a_table_open_go_on_after_its_creator_ended(name: str) -> None:
    with SharedDict.create(name, capacity=100) as results:

        def go_on() -> None:
            opened = SharedDict.open(results.wait("name", workers.GUARD))
            results["opened"] = True
            results.wait("ended", workers.GUARD)
            opened["b"] = 2
            results["seen"] = opened.copy()

        child = workers.fork(go_on)
        creator = workers.start(PRELUDE + "sys.stdin.read()")
        assert creator.stdout is not None
        theirs = SharedDict.open(creator.stdout.readline().strip())
        results["name"] = theirs.name
        results.wait("opened", workers.GUARD)
        assert workers.ended(creator) == (0, "", "")
        assert not workers.exists(theirs.name)
        results["ended"] = True
        workers.all_well([child])
        assert results["seen"] == theirs.copy() == {"a": 1, "b": 2}
        theirs.close()


def test_a_killed_creator_leaves_its_table_to_whoever_removes_it() -> None:
    creator = workers.start(PRELUDE + "sys.stdin.read()")
    assert creator.stdout is not None
    name = creator.stdout.readline().strip()
    # Who has it open keeps the next table from removing it.
    with SharedDict.open(name) as d:
        creator.kill()
        assert workers.ended(creator)[0] == -signal.SIGKILL
        with SharedDict(capacity=10):
            # It is whole, and it is listed.
            assert name in tables()
            assert name not in shmtable.gc()
        assert d.copy() == {"a": 1}
        assert d.anonymous
        SharedDict.unlink(name)


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
