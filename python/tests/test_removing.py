"""Are many entries removed at once: exactly those asked for, each for one caller?"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import CodecError, KeyTypeError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]


# retain


def test_retain_removes_what_the_function_refuses_and_says_how_many(
    new: Callable[..., ANYTHING],
) -> None:
    d = new(capacity=5000)
    d.update((number, [number]) for number in range(5000))
    assert d.retain(lambda key, value: key % 3 == 0 and value == [key]) == 3333
    assert d.copy() == {number: [number] for number in range(0, 5000, 3)}
    assert d.retain(lambda key, value: "true of any kind") == 0
    assert d.retain(lambda key, value: None) == 1667
    assert not d


def test_retain_asks_again_about_a_value_that_changed_meanwhile(d: ANYTHING) -> None:
    d["k"] = "old"
    asked = []

    def keep(key: str, value: str) -> bool:
        asked.append(value)
        d["k"] = "new"
        return value == "new"

    assert d.retain(keep) == 0
    assert asked == ["old", "new"]
    assert d["k"] == "new"


def test_retain_does_not_count_what_others_removed(d: ANYTHING) -> None:
    d["k"] = 1
    assert d.retain(lambda key, value: bool(d.pop(key)) and False) == 0


def test_the_function_of_retain_may_use_the_table_and_raise(d: ANYTHING) -> None:
    d.update((number, number) for number in range(100))

    def keep(key: int, value: int) -> bool:
        d["seen"] = d.get("seen", 0) + 1
        if d["seen"] == 50:
            raise ZeroDivisionError("deliberate")
        return False

    with pytest.raises(ZeroDivisionError, match="deliberate"):
        d.retain(keep)
    # Those before are gone, and no lock is kept.
    assert len(d) <= 52
    d.clear()
    d["k"] = 1
    assert d.copy() == {"k": 1}


def test_two_processes_that_retain_remove_each_entry_once(name: str) -> None:
    with SharedDict.create(name, capacity=5000) as d:
        d.update((number, number) for number in range(4000))

        def remove(me: int) -> None:
            removed = d.retain(lambda key, value: not isinstance(key, int))
            d["removed", me] = removed

        workers.all_well([workers.fork(remove, me) for me in range(2)])
        assert d["removed", 0] + d["removed", 1] == 4000
        assert len(d) == 2


# remove_many


def test_remove_many_says_how_many_of_the_keys_were_there(new: Callable[..., ANYTHING]) -> None:
    d = new({number: number for number in range(3000)}, capacity=3000)
    assert d.remove_many(iter(range(1000, 5000))) == 2000
    assert sorted(d) == list(range(1000))
    assert d.remove_many([]) == 0
    assert d.remove_many([1, 1, 1.0, True]) == 1


def test_remove_many_of_what_is_no_key_removes_nothing_of_its_turn(d: ANYTHING) -> None:
    d.update(a=1, b=2)
    with pytest.raises(TypeError, match="list"):
        d.remove_many(["a", []])
    assert len(d) == 2
    with pytest.raises(TypeError):
        d.remove_many(5)  # type: ignore[arg-type]


# pop_many


def test_pop_many_returns_the_values_in_the_order_of_the_keys(
    new: Callable[..., ANYTHING],
) -> None:
    d = new({number: [number] for number in range(3000)}, capacity=3000)
    assert d.pop_many(range(2999, -1, -1)) == [[number] for number in range(2999, -1, -1)]
    assert not d
    d["a"] = None
    assert d.pop_many(["a", "a", "b"], "none") == [None, "none", "none"]
    assert d.pop_many(["a"]) == [None]
    assert d.pop_many([]) == []


def test_pop_many_gives_each_value_to_one_thread(new: Callable[..., ANYTHING]) -> None:
    d = new({number: number for number in range(4000)}, capacity=4000)
    got: list[list[int]] = []
    workers.together(*[lambda: got.append(d.pop_many(range(4000), -1))] * 4)
    taken = sorted(value for values in got for value in values if value >= 0)
    assert taken == list(range(4000))
    assert not d


def test_what_pop_many_took_before_it_raised_is_not_lost(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        d.update(a=1, b=2, d=4)
        with SharedDict.open(name, codec="raw") as raw:
            raw[b"\xa1c"] = b"\xc1"
        with pytest.raises(CodecError) as raised:
            d.pop_many(["a", "b", "c", "d"])
        assert raised.value.popped == [1, 2]  # type: ignore[attr-defined]
        assert sorted(d.keys()) == ["c", "d"]
        with pytest.raises(KeyTypeError) as refused:
            d.pop_many(["d", object()])
        assert refused.value.popped == [4]  # type: ignore[attr-defined]


# replace


def test_replace_returns_what_was_there(d: ANYTHING) -> None:
    assert d.replace("k", 1) is None
    assert d.replace("k", None) == 1
    assert d.replace("k", 2, "default") is None
    assert d.replace("other", 3, "default") == "default"
    assert d.copy() == {"k": 2, "other": 3}


def test_each_of_many_that_replace_gets_another_ones_value(d: ANYTHING) -> None:
    got: list[Any] = []
    barrier = threading.Barrier(4)

    def replace(me: int) -> None:
        barrier.wait()
        mine = [d.replace("k", (me, number)) for number in range(500)]
        got.extend(mine)

    workers.together(*[lambda me=me: replace(me) for me in range(4)])
    got.remove(None)
    # Nothing was overwritten without being returned, and nothing returned twice.
    stored = {(me, number) for me in range(4) for number in range(500)}
    assert stored == {*got, d["k"]}
    assert len(got) == 1999


def test_a_value_that_cannot_be_decoded_is_not_replaced(name: str) -> None:
    with SharedDict.create(name, capacity=100) as d:
        with SharedDict.open(name, codec="raw") as raw:
            raw[b"\xa1k"] = b"\xc1"
            with pytest.raises(CodecError):
                d.replace("k", 1)
            assert raw.replace(b"\xa1k", b"\x01") == b"\xc1"
        assert d["k"] == 1
