"""Does a table do what a dict does, operation by operation?"""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable
from typing import Any

import numpy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shmtable import MISSING, SharedDict


class Number(enum.IntEnum):
    ONE = 1


# Few, so that they meet; several of them are equal.
KEYS: list[Any] = [0, False, 0.0, -0.0, 1, True, 1.0, Number.ONE, numpy.int16(1), "", "1", b"1"]
KEYS += [None, 0.5, numpy.float32(0.5), (), (1,), (True,), (1.0, None), (1, None), 1 << 64]
KEYS += [float(1 << 64), "\ud800", "x" * 100, -1]

# Of all forms that values are stored in, and of sizes that need more room each time.
VALUES: list[Any] = [None, True, 0, 1, -5, 0.25, 1 << 63, 1 << 70, "", "text", b"bytes", [], [1, [2]]]
VALUES += [{"a": 1}, {1: [None]}, (), (1, 2), {3}, "x" * 127, "x" * 1000, b"y" * 20_000, [0] * 300]

keys = st.sampled_from(KEYS)
values = st.sampled_from(VALUES)
numbers = st.sampled_from([0, 1, -1, 5, 0.5, True, (1 << 63) - 1, 1 << 64, "no number"])
entries = st.lists(st.tuples(keys, values), max_size=5)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns or raises."""
    try:
        return call()
    except (KeyError, TypeError) as error:
        return KeyError if isinstance(error, KeyError) else TypeError


def change_in_place(now: Any, value: Any) -> Any:
    """Changes what can be changed, and returns what is there then."""
    if isinstance(now, list):
        now.append(value)
    elif isinstance(now, dict):
        now["changed"] = value
    elif isinstance(now, set):
        now.add(4)
    return now


class Model(RuleBasedStateMachine):
    """The same operations on both; what they return is compared, and what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.d: SharedDict[Any, Any] = SharedDict(capacity=30, value_space=1 << 18)
        self.dict: dict[Any, Any] = {}

    def teardown(self) -> None:
        self.d.close()

    def both(self, call: Callable[[Any], Any]) -> None:
        found = outcome(lambda: call(self.d))
        expected = outcome(lambda: call(self.dict))
        assert found == expected
        assert type(found) is type(expected)

    def against(self, found: Callable[[], Any], expected: Callable[[], Any]) -> None:
        a, b = outcome(found), outcome(expected)
        assert a == b
        assert type(a) is type(b)

    @rule(key=keys)
    def getitem(self, key: Any) -> None:
        self.both(lambda d: d[key])

    @rule(key=keys, default=values)
    def get(self, key: Any, default: Any) -> None:
        self.both(lambda d: d.get(key))
        self.both(lambda d: d.get(key, default))

    @rule(key=keys)
    def contains(self, key: Any) -> None:
        self.both(lambda d: key in d)
        self.both(lambda d: key in d.keys())

    @rule(key=keys, value=values)
    def views(self, key: Any, value: Any) -> None:
        self.both(lambda d: (key, value) in d.items())
        self.both(lambda d: value in d.values())
        self.both(lambda d: sorted(map(repr, d.values())))
        self.both(lambda d: d.keys() & set(KEYS))
        self.both(lambda d: d.keys() - {key})

    @rule(key=keys, value=values)
    def setitem(self, key: Any, value: Any) -> None:
        self.both(lambda d: d.__setitem__(key, value))

    @rule(key=keys)
    def delitem(self, key: Any) -> None:
        self.both(lambda d: d.__delitem__(key))

    @rule(key=keys, default=values)
    def pop(self, key: Any, default: Any) -> None:
        self.both(lambda d: d.pop(key))
        self.both(lambda d: d.pop(key, default))

    @rule(key=keys, default=values)
    def pop_or_default(self, key: Any, default: Any) -> None:
        self.both(lambda d: d.pop(key, default))

    @rule()
    def popitem(self) -> None:
        if not self.dict:
            assert outcome(self.d.popitem) is KeyError
        else:
            key, value = self.d.popitem()
            assert self.dict.pop(key) == value

    @rule(key=keys, default=values)
    def setdefault(self, key: Any, default: Any) -> None:
        self.both(lambda d: d.setdefault(key, default))

    @rule(key=keys)
    def setdefault_none(self, key: Any) -> None:
        self.both(lambda d: d.setdefault(key))

    @rule(pairs=entries)
    def update(self, pairs: Any) -> None:
        self.both(lambda d: d.update(pairs))
        self.both(lambda d: d.update(dict(pairs)))
        self.both(lambda d: d.update(iter(pairs), text="keyword"))

    @rule(pairs=entries)
    def or_in_place(self, pairs: Any) -> None:
        self.both(lambda d: d.__ior__(dict(pairs)) is d)

    @rule(pairs=entries)
    def or_(self, pairs: Any) -> None:
        self.both(lambda d: d | dict(pairs))
        self.both(lambda d: dict(pairs) | d)

    @rule()
    def clear(self) -> None:
        self.both(lambda d: d.clear())

    @rule()
    def copies(self) -> None:
        for made in (self.d.copy(), self.d.snapshot(), dict(self.d), copy.copy(self.d)):
            assert type(made) is dict
            assert made == self.dict

    @rule(several=st.lists(keys, max_size=8), default=values)
    def get_many(self, several: Any, default: Any) -> None:
        found = self.d.get_many(several, default)
        assert found == [self.dict.get(key, default) for key in several]

    @rule(key=keys, n=numbers)
    def add(self, key: Any, n: Any) -> None:
        def expected() -> Any:
            old = self.dict.get(key, 0)
            if not isinstance(old, int | float) or not isinstance(n, int | float):
                raise TypeError
            self.dict[key] = old + n
            return self.dict[key]

        self.against(lambda: self.d.add(key, n), expected)

    @rule(key=keys, n=numbers, greatest=st.booleans())
    def extreme(self, key: Any, n: Any, greatest: bool) -> None:
        def expected() -> Any:
            old = self.dict.get(key, n)
            if not isinstance(old, int | float) or not isinstance(n, int | float):
                raise TypeError
            # Truth values become the numbers that they are.
            self.dict[key] = max(old + 0, n + 0) if greatest else min(old + 0, n + 0)
            return self.dict[key]

        method = self.d.max if greatest else self.d.min
        self.against(lambda: method(key, n), expected)

    @rule(key=keys, expected=values | st.just(MISSING), new=values | st.just(MISSING))
    def compare_exchange(self, key: Any, expected: Any, new: Any) -> None:
        def exchange() -> bool:
            if self.dict.get(key, MISSING) != expected:
                return False
            if new is MISSING:
                self.dict.pop(key, None)
            else:
                self.dict[key] = new
            return True

        self.against(lambda: self.d.compare_exchange(key, expected, new), exchange)

    @rule(key=keys, new=values | st.just(MISSING))
    def compare_exchange_what_is_there(self, key: Any, new: Any) -> None:
        self.compare_exchange(key, self.d.get(key, MISSING), new)

    @rule(key=keys, new=values | st.just(MISSING), default=values | st.just(MISSING))
    def update_value(self, key: Any, new: Any, default: Any) -> None:
        given: list[Any] = []

        def function(old: Any) -> Any:
            given.append(old)
            return new

        def expected() -> Any:
            given.append(self.dict[key] if default is MISSING else self.dict.get(key, default))
            if new is MISSING:
                self.dict.pop(key, None)
            else:
                self.dict[key] = new
            return new

        self.against(lambda: self.d.update_value(key, function, default), expected)
        assert given[: len(given) // 2] == given[len(given) // 2 :]

    @rule(key=keys, value=numbers, default=values | st.just(MISSING))
    def edit(self, key: Any, value: Any, default: Any) -> None:
        def found() -> Any:
            with self.d.edit(key, default) as now:
                return change_in_place(now, value)

        def expected() -> Any:
            now = self.dict[key] if default is MISSING else self.dict.get(key, default)
            if not isinstance(now, list | dict | set | tuple):
                raise TypeError
            self.dict[key] = now = copy.deepcopy(now)
            return change_in_place(now, value)

        self.against(found, expected)

    @rule(key=keys, value=values)
    def get_or_compute(self, key: Any, value: Any) -> None:
        self.against(
            lambda: self.d.get_or_compute(key, lambda: value),
            lambda: self.dict.setdefault(key, value),
        )

    @rule(key=keys)
    def failing_functions_change_nothing(self, key: Any) -> None:
        def fail(*_: Any) -> Any:
            raise TypeError

        if key not in self.dict:
            assert outcome(lambda: self.d.get_or_compute(key, fail)) is TypeError
        assert outcome(lambda: self.d.update_value(key, fail, 0)) is TypeError

    @rule(key=keys)
    def wait(self, key: Any) -> None:
        if key in self.dict:
            assert self.d.wait(key, 0) == self.dict[key]

    @rule()
    def reopened(self) -> None:
        with SharedDict.open(self.d.name) as other:
            assert other == self.d == self.dict
            other["text"] = self.dict["text"] = "from another handle"

    @invariant()
    def the_same_is_there(self) -> None:
        assert len(self.d) == len(self.dict)
        assert bool(self.d) == bool(self.dict)
        found = dict(self.d.items())
        assert found == self.dict
        assert self.d == self.dict and not self.d != self.dict
        assert all(type(found[key]) is type(value) for key, value in self.dict.items())
        assert sorted(map(repr, self.d)) == sorted(map(repr, found))
        assert self.d.stats()["entries"] == len(self.dict)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=120, stateful_step_count=60)
