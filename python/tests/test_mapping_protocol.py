"""Does it pass CPython's own tests of mappings, except where documented?"""

from __future__ import annotations

import collections
import sys
from pathlib import Path
from typing import Any

import pytest
from test import mapping_tests

from shmtable import KeyTypeError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
from mappings import Refusal, Small, refuse

ANYTHING = SharedDict[Any, Any]


# Of CPython's own tests of mappings, those that a SharedDict fails on purpose, and why.
DEVIATIONS = {
    "test_constructor": "keywords are options, no entries",
    "test_copy": "a copy is a plain dict",
    "test_eq": "keys are of a few types, whose equality cannot fail",
    "test_fromkeys": "fromkeys passes everything to the class, and no item to __setitem__",
    "test_getitem": "keys are of a few types, and others are refused",
    "test_mutatingiteration": "iteration goes on while somebody writes",
    "test_pop": "keys are of a few types, and others are refused",
    "test_popitem": "there is no order",
    "test_repr": "the repr tells the class and the name",
    "test_repr_deep": "a table in a table is a handle, and handles are limited",
    "test_setdefault": "values are copies",
}


class TestBasicMappingProtocol(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc]
    """The tests for everything that reads and writes like a mapping: all of them."""

    type2test = Small


class TestDictProtocol(mapping_tests.TestHashMappingProtocol):  # type: ignore[misc]
    """The tests that dict and its subclasses must pass."""

    type2test = Small

    def test_constructor(self) -> None:
        """Keywords are options: `SharedDict(x=1)` is a mistake, not an entry."""
        mapping_tests.BasicTestMappingProtocol.test_constructor(self)
        assert self._empty_mapping() is not self._empty_mapping()
        with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
            self.type2test(x=1, y=2)
        assert self.type2test({"x": 1}, name=None) == {"x": 1}
        assert self.type2test([("x", 1)]) == {"x": 1}

    def test_copy(self) -> None:
        """A copy is a plain dict, which costs no shared memory."""
        d = self._full_mapping({1: 1, 2: 2, 3: 3})
        assert d.copy() == {1: 1, 2: 2, 3: 3}
        assert type(d.copy()) is dict
        assert self._empty_mapping().copy() == self._empty_mapping()
        with pytest.raises(TypeError):
            d.copy(None)

    def test_eq(self) -> None:
        """A key whose equality could fail is refused; a value's may fail."""
        assert self._full_mapping({1: 2}) == self._full_mapping({1: 2})
        assert self._full_mapping({1: 2}) != self._full_mapping({1: 3})
        with pytest.raises(KeyTypeError):
            self._full_mapping({BadEq(): 1})
        with pytest.raises(Refusal):
            _ = self._full_mapping({1: BadEq()}) == {1: 1}

    def test_fromkeys(self) -> None:
        """The class gets pairs, so a `__new__` must take them; `__setitem__` is not called."""
        assert self.type2test.fromkeys("abc") == {"a": None, "b": None, "c": None}
        d = self._empty_mapping()
        assert d.fromkeys("abc") is not d
        assert d.fromkeys((4, 5), 0) == {4: 0, 5: 0}
        assert d.fromkeys([]) == {}
        assert d.fromkeys(key for key in [1]) == {1: None}
        for wrong in ((), (3,), (1, 2, 3)):
            with pytest.raises(TypeError):
                self.type2test.fromkeys(*wrong)

        class Like(Small):
            pass

        assert type(Like.fromkeys("a")) is type(Like().fromkeys("a")) is Like

        class Elsewhere(Small):
            def __new__(cls, pairs: Any) -> Any:
                return collections.UserDict(pairs)

        found: Any = Elsewhere.fromkeys("ab")
        assert type(found) is collections.UserDict
        assert found == {"a": None, "b": None}

        class Refusing(Small):
            def __init__(self, *_: object) -> None:
                raise Refusal

        class Setting(Small):
            def __setitem__(self, *_: object) -> None:
                raise Refusal

        with pytest.raises(Refusal):
            Refusing.fromkeys([1])
        with pytest.raises(Refusal):
            self.type2test.fromkeys(map(refuse, [1]))
        assert Setting.fromkeys([1]) == {1: None}

    def test_getitem(self) -> None:
        """Keys that would run code of their own are refused."""
        mapping_tests.TestMappingProtocol.test_getitem(self)
        d = self._empty_mapping()
        with pytest.raises(KeyTypeError):
            d[BadEq()] = 42
        with pytest.raises(Refusal):
            d[BadHash()]

    def test_mutatingiteration(self) -> None:
        """Iteration goes on while somebody writes; what comes meanwhile may be seen."""
        d = self._full_mapping({1: 1})
        seen = []
        for key in d:
            seen.append(key)
            if key < 100:
                d[key + 1] = 1
        assert seen[0] == 1
        assert len(seen) == len(set(seen))
        assert set(seen) <= set(d)

    def test_pop(self) -> None:
        """Keys that would run code of their own are refused."""
        mapping_tests.TestMappingProtocol.test_pop(self)
        d = self._full_mapping({1: 2})
        with pytest.raises(KeyTypeError):
            d.pop(BadEq(), None)
        with pytest.raises(Refusal):
            d.pop(BadHash(), None)
        assert d == {1: 2}

    def test_popitem(self) -> None:
        """Two equal tables are drained in different orders."""
        mapping_tests.BasicTestMappingProtocol.test_popitem(self)
        for size in (2**log2size for log2size in range(12)):
            d = self._full_mapping({repr(i): i for i in range(size)})
            popped = [d.popitem() for _ in range(size)]
            assert sorted(value for _, value in popped) == list(range(size))
            assert all(key == repr(value) for key, value in popped)
            assert not d

    def test_repr(self) -> None:
        """The repr tells the class and the name; see the tests of repr below."""
        d = self._empty_mapping()
        assert repr(d) == f"Small({{}}, name={d.name!r})"
        d[1] = 2
        assert repr(d) == f"Small({{1: 2}}, name={d.name!r})"
        with pytest.raises(Refusal):
            repr(self._full_mapping({1: BadRepr()}))

    def test_repr_deep(self) -> None:
        """Tables in tables are handles, opened while they are shown; some go."""
        tables = [self._empty_mapping()]
        for _ in range(10):
            tables.append(self._full_mapping({1: tables[-1]}))
        assert repr(tables[-1]).count("{1: Small(") == 10
        for table in tables:
            table.close()

    def test_setdefault(self) -> None:
        """What setdefault returns is not what is in the table."""
        mapping_tests.BasicTestMappingProtocol.test_setdefault(self)
        d = self._empty_mapping()
        assert d.setdefault("key0") is None
        assert d.setdefault("key0", []) is None
        d.setdefault("key", []).append(3)
        assert d["key"] == []
        with pytest.raises(Refusal):
            d.setdefault(BadHash(), [])
        with pytest.raises(KeyTypeError):
            d.setdefault(BadEq(), [])
        assert d == {"key0": None, "key": []}


def test_the_tests_of_cpython_that_are_replaced_are_the_documented_deviations() -> None:
    assert [name for name in vars(TestBasicMappingProtocol) if name.startswith("test_")] == []
    replaced = [name for name in vars(TestDictProtocol) if name.startswith("test_")]
    assert sorted(replaced) == sorted(DEVIATIONS)
    # Each of them replaces a test, and each says why.
    assert set(replaced) <= set(dir(mapping_tests.TestHashMappingProtocol))
    assert all(getattr(TestDictProtocol, name).__doc__ for name in replaced)


class BadEq:
    __eq__ = refuse

    def __hash__(self) -> int:
        return 24


class BadHash:
    __hash__ = refuse


class BadRepr:
    __repr__ = refuse
