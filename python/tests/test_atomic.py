"""Is each operation that reads and writes one step, whatever other processes do?"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shmtable import MISSING, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
CODECS = ["pickle", "msgpack", "json"]


def forked(d: ANYTHING, *functions: Any) -> None:
    """Calls functions in forked children, which begin together and must end well."""
    children = [workers.fork(function) for function in functions]
    d["go"] = True
    workers.all_well(children)


# add


@pytest.mark.parametrize("method", workers.METHODS)
def test_two_processes_that_add_100_000_times_each_add_200_000(name: str, method: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        arguments = (d, "k", 1, 100_000)
        children = [
            workers.context(method).Process(target=workers.adds, args=arguments) for _ in range(2)
        ]
        for child in children:
            child.start()
        d["go"] = True
        workers.joined(*children)
        assert d["k"] == 200_000
        assert type(d["k"]) is int


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "start",
    [0, -40_000, -(2**31) - 5000, 2**32 - 5000, 2**63 - 5000, 2**64 - 5000, -(2**63) - 5000],
)
def test_every_sum_is_given_out_once_while_the_encoding_grows(
    name: str, codec: Any, start: int, tmp_path: Path
) -> None:
    each = 25_000 if abs(start) < 2**33 else 5000
    with SharedDict.create(name, capacity=100, codec=codec) as d:
        d["k"] = start

        def add(me: int) -> None:
            d.wait("go", workers.GUARD)
            sums = [d.add("k") - start for _ in range(each)]
            assert sums == sorted(sums)
            (tmp_path / str(me)).write_bytes(struct.pack(f"<{each}q", *sums))

        forked(d, lambda: add(0), lambda: add(1))
        assert d["k"] == start + 2 * each
        assert type(d["k"]) is int
        sums = [
            number
            for me in range(2)
            for (number,) in struct.iter_unpack("<q", (tmp_path / str(me)).read_bytes())
        ]
        assert sorted(sums) == list(range(1, 2 * each + 1))


@pytest.mark.parametrize("codec", CODECS)
def test_floats_are_added_exactly_once(name: str, codec: Any) -> None:
    with SharedDict.create(name, capacity=100, codec=codec) as d:
        forked(d, *[lambda: workers.adds(d, "k", 0.25, 20_000)] * 2)
        assert d["k"] == 10_000.0
        assert type(d["k"]) is float


@pytest.mark.parametrize("codec", CODECS)
def test_ints_and_floats_are_added_to_one_value(name: str, codec: Any) -> None:
    with SharedDict.create(name, capacity=100, codec=codec) as d:
        forked(
            d,
            lambda: workers.adds(d, "k", 3, 20_000),
            lambda: workers.adds(d, "k", -0.5, 20_000),
        )
        assert d["k"] == 50_000.0
        assert type(d["k"]) is float


def test_large_and_small_numbers_are_added_to_one_value(name: str) -> None:
    # Those that Rust code adds under the lock, and those that Python adds.
    with SharedDict.create(name, capacity=100) as d:
        forked(
            d,
            lambda: workers.adds(d, "k", 2**70, 5000),
            lambda: workers.adds(d, "k", -(2**70), 5000),
            lambda: workers.adds(d, "k", 1, 5000),
        )
        assert d["k"] == 5000


def test_adding_and_subtracting_cancel_out_around_every_width(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        edges = [0, -32, -128, 128, 256, -(2**15), 2**16, -(2**31), 2**32, -(2**63), 2**63, 2**64]
        d.update((edge, edge) for edge in edges)

        def add(step: int) -> None:
            d.wait("go", workers.GUARD)
            for _ in range(500):
                for edge in edges:
                    d.add(edge, step)

        forked(d, lambda: add(7), lambda: add(-7), lambda: add(1))
        assert {edge: d[edge] for edge in edges} == {edge: edge + 500 for edge in edges}


def test_raw_counters_are_added_to_exactly(name: str) -> None:
    with SharedDict.create(name, capacity=100, codec="raw") as d:

        def add(n: int) -> None:
            d.wait(b"go", workers.GUARD)
            for _ in range(50_000):
                d.add(b"k", n)

        children = [workers.fork(add, n) for n in (3, -1)]
        d[b"go"] = b""
        workers.all_well(children)
        assert d[b"k"] == (100_000).to_bytes(8, "little")


# setdefault


def test_setdefault_has_one_winner_whom_all_see(name: str) -> None:
    keys = range(1000)
    with SharedDict.create(name, capacity=20_000) as d:

        def claim(me: int) -> None:
            d.wait("go", workers.GUARD)
            got = [d.setdefault(key, me) for key in keys]
            d["got", me] = got

        forked(d, *[lambda me=me: claim(me) for me in range(8)])
        seen = [d["got", me] for me in range(8)]
        assert seen == [seen[0]] * 8
        assert seen[0] == [d[key] for key in keys]
        assert set(seen[0]) <= set(range(8))


def test_setdefault_gives_the_winners_large_value(name: str) -> None:
    # Values long enough for other threads to run while they are written.
    with SharedDict.create(name, capacity=100, value_space=64 << 20) as d:

        def claim(me: int) -> None:
            d.wait("go", workers.GUARD)
            for key in range(20):
                got = d.setdefault(key, bytes([me]) * 200_000)
                assert got == bytes([got[0]]) * 200_000
                d["got", key, me] = got[0]

        forked(d, *[lambda me=me: claim(me) for me in range(4)])
        for key in range(20):
            assert {d["got", key, me] for me in range(4)} == {d[key][0]}


# max and min


@pytest.mark.parametrize("codec", CODECS)
def test_the_greater_or_the_smaller_number_stays(codec: Any) -> None:
    with SharedDict[Any, Any](codec=codec) as d:
        for old, n, greatest, least in [
            (1, 2, 2, 1),
            (2, 1, 2, 1),
            (2, 2.5, 2.5, 2),
            (2.5, 2, 2.5, 2),
            (1, 1.0, 1, 1),
            (1.0, 1, 1.0, 1.0),
            (2**53 + 1, float(2**53), 2**53 + 1, float(2**53)),
            (float(2**53), 2**53 + 1, 2**53 + 1, float(2**53)),
            (2**64 - 1, float(2**64), float(2**64), 2**64 - 1),
            (-(2**63), -(2.0**70), -(2**63), -(2.0**70)),
            (0, 1e300, 1e300, 0),
            (-1.5, -1, -1, -1.5),
        ]:
            for method, stays in [(d.max, greatest), (d.min, least)]:
                d["k"] = old
                told = method("k", n)
                assert (told, type(told)) == (stays, type(stays)), (old, n)
                assert (d["k"], type(d["k"])) == (stays, type(stays)), (old, n)
        del d["k"]
        assert d.max("k", -7) == -7 == d["k"]
        assert d.min("new", 7.5) == 7.5 == d["new"]


def test_integers_of_any_size_are_compared() -> None:
    with SharedDict[Any, Any]() as d:
        assert d.max("k", 2**100) == 2**100
        assert d.max("k", 1) == 2**100 == d["k"]
        assert d.max("k", 2.0**101) == 2.0**101
        assert d.min("k", -(2**100)) == -(2**100) == d["k"]


def test_a_nan_is_neither_greater_nor_smaller() -> None:
    with SharedDict[Any, Any]({"k": 1.5}) as d:
        assert d.max("inf", float("inf")) == float("inf") == d.max("inf", 2**64)
        assert d.max("k", float("nan")) == d.min("k", float("nan")) == 1.5
        d["k"] = float("nan")
        assert str(d.max("k", 1)) == str(d.min("k", 1)) == str(d["k"]) == "nan"


def test_max_and_min_of_counters_of_a_raw_table() -> None:
    with SharedDict[Any, Any](codec="raw") as d:
        assert d.max(b"k", 5) == 5
        assert d.min(b"k", -3) == -3
        assert d[b"k"] == struct.pack("<q", -3)
        with pytest.raises(TypeError, match="64 bits"):
            d.max(b"k", 1.5)


def test_max_and_min_refuse_what_is_no_number() -> None:
    wrong: Any = "a"
    with SharedDict[Any, Any]({"text": wrong}) as d:
        with pytest.raises(TypeError, match=r"^max\(\) takes ints and floats, and the value of the key"):
            d.max("text", 1)
        with pytest.raises(TypeError, match=r"^min\(\) takes ints and floats, and n is a str"):
            d.min("k", wrong)
        assert d["text"] == "a"
        assert "k" not in d


def test_of_processes_that_store_at_once_none_loses_the_greatest(name: str) -> None:
    with SharedDict[Any, Any].create(name, capacity=100) as d:

        def store(me: int) -> None:
            while "go" not in d:
                pass
            for n in range(3000):
                d.max("max", 2 * n + me)
                d.min("min", -2 * n - me - 0.5)

        forked(d, lambda: store(0), lambda: store(1))
        assert d["max"] == 5999
        assert d["min"] == -5999.5


# compare_exchange


def test_a_lock_made_of_compare_exchange_excludes(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d["count"] = 0
        forked(d, *[lambda me=me: workers.lock_by_exchange(d, me, 1000) for me in range(4)])
        assert d["count"] == 4000
        assert "lock" not in d


def test_of_many_exchanges_of_one_value_one_succeeds(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d["turn"] = 0

        def take_turns(me: int) -> None:
            d.wait("go", workers.GUARD)
            mine = 0
            while (turn := d["turn"]) < 2000:
                mine += d.compare_exchange("turn", turn, turn + 1)
            d["turns of", me] = mine

        forked(d, *[lambda me=me: take_turns(me) for me in range(4)])
        assert d["turn"] == 2000
        assert sum(d["turns of", me] for me in range(4)) == 2000


def test_of_many_exchanges_for_missing_one_removes(name: str) -> None:
    with SharedDict.create(name, capacity=5000) as d:
        d.update(((key, "there") for key in range(1000)))

        def remove(me: int) -> None:
            d.wait("go", workers.GUARD)
            d["removed by", me] = [
                key for key in range(1000) if d.compare_exchange(key, "there", MISSING)
            ]

        forked(d, *[lambda me=me: remove(me) for me in range(4)])
        removed = [key for me in range(4) for key in d["removed by", me]]
        assert sorted(removed) == list(range(1000))


# update_value


@pytest.mark.parametrize("codec", CODECS)
def test_update_value_loses_no_append(name: str, codec: Any) -> None:
    with SharedDict.create(name, capacity=100, codec=codec) as d:

        def append(me: int) -> None:
            d.wait("go", workers.GUARD)
            for number in range(100):
                made = d.update_value("list", lambda now: [*now, [me, number]], [])  # noqa: B023
                assert made[-1] == [me, number]

        forked(d, *[lambda me=me: append(me) for me in range(4)])
        appended = d["list"]
        for me in range(4):
            assert [entry for entry in appended if entry[0] == me] == [[me, n] for n in range(100)]
        assert len(appended) == 400


def test_update_value_that_removes_and_makes_loses_nothing(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:

        def toggle(me: int) -> None:
            """Makes 1 of nothing, and nothing of 1."""
            d.wait("go", workers.GUARD)
            made = 0
            for _ in range(1000):
                now = d.update_value("k", lambda now: 1 if now == 0 else MISSING, 0)
                made += 1 if now == 1 else -1
            d["made", me] = made

        forked(d, *[lambda me=me: toggle(me) for me in range(4)])
        assert sum(d["made", me] for me in range(4)) == d.get("k", 0)
        assert "k" not in d


# pop, popitem


def test_pop_gives_each_value_to_one_process(name: str) -> None:
    with SharedDict.create(name, capacity=10_000) as d:
        d.update((key, [key]) for key in range(4000))

        def pop(me: int) -> None:
            d.wait("go", workers.GUARD)
            popped = [d.pop(key, None) for key in range(4000)]
            d["popped", me] = [value for value in popped if value is not None]

        forked(d, *[lambda me=me: pop(me) for me in range(4)])
        popped = [value for me in range(4) for value in d["popped", me]]
        assert sorted(popped) == [[key] for key in range(4000)]
        assert len(d) == 4 + 1


def test_popitem_gives_each_entry_to_one_process(name: str) -> None:
    with (
        SharedDict.create(name, capacity=10_000) as d,
        SharedDict(capacity=100, value_space=1 << 20) as results,
    ):
        d.update((key, -key) for key in range(4000))

        def pop(me: int) -> None:
            results.wait("go", workers.GUARD)
            popped = []
            while True:
                try:
                    popped.append(d.popitem())
                except KeyError:
                    break
            results["popped", me] = popped

        forked(results, *[lambda me=me: pop(me) for me in range(4)])
        popped = [entry for me in range(4) for entry in results["popped", me]]
        assert sorted(popped) == [(key, -key) for key in range(4000)]
        assert not d


def test_popitem_empties_a_queue_that_others_fill(name: str) -> None:
    with (
        SharedDict.create(name, capacity=1000) as d,
        SharedDict(capacity=100, value_space=1 << 20) as results,
    ):

        def fill(me: int) -> None:
            results.wait("go", workers.GUARD)
            for number in range(2000):
                while len(d) > 500:
                    time.sleep(0.001)
                d[me, number] = number
            results.add("filled")

        def drain(me: int) -> None:
            popped = Counter[Any]()
            while True:
                filled = results.get("filled", 0)
                try:
                    key, value = d.popitem()
                except KeyError:
                    if filled == 2:
                        break
                    os.sched_yield()
                else:
                    assert key[1] == value
                    popped[key] += 1
            results["popped", me] = dict(popped)

        functions = [lambda: fill(0), lambda: fill(1), lambda: drain(2), lambda: drain(3)]
        forked(results, *functions)
        popped = Counter(results["popped", 2]) + Counter(results["popped", 3])
        assert popped == Counter((me, number) for me in range(2) for number in range(2000))


def test_a_value_that_pops_while_it_is_loaded_meets_itself_and_is_not_lost(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d.update(a=workers.PopsAnother(name), b=workers.PopsAnother(name))

        def pop() -> None:
            workers.keep(d)
            # A value is loaded before it is taken away, so the inner one finds it too.
            with pytest.raises(RecursionError):
                d.popitem()
            assert len(d) == 2

        child = workers.fork(pop)
        assert workers.status(child, guard=20) == 0
