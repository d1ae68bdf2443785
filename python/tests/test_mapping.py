"""Is it a mapping as dict is one? Where it differs, is it as documented?"""

from __future__ import annotations

import collections
import copy
import pickle
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from test import mapping_tests
from typing import Any

import pytest

from shmtable import ClosedError, KeyTypeError, MissingKeyError, SharedDict

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Small(SharedDict[Any, Any]):
    """Of a capacity that is made and removed quickly."""

    def __init__(self, initial: Any = None, /, **options: Any) -> None:
        super().__init__(initial, **{"capacity": 4096, **options})


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


class Refusal(Exception):
    pass


def refuse(*_: object) -> Any:
    raise Refusal


class BadEq:
    __eq__ = refuse

    def __hash__(self) -> int:
        return 24


class BadHash:
    __hash__ = refuse


class BadRepr:
    __repr__ = refuse


# Operators.


def test_or_gives_a_plain_dict_in_which_the_right_side_wins(new: NEW) -> None:
    d = new({"a": 1, "b": 2})
    other = {"b": 3, "c": 4}
    for left, right in [(d, other), (d, new(other)), ({"a": 1, "b": 2}, new(other))]:
        both = left | right
        assert type(both) is dict
        assert both == {"a": 1, "b": 3, "c": 4}
    assert d == {"a": 1, "b": 2}


def test_or_takes_every_mapping_on_both_sides_and_nothing_else(new: NEW) -> None:
    d = new({"a": 1})
    proxy = types.MappingProxyType({"b": 2})
    chain = collections.ChainMap({"b": 2})
    assert d | collections.UserDict({"b": 2}) == {"a": 1, "b": 2}
    assert d | chain == {"a": 1, "b": 2}
    assert d | proxy == {"a": 1, "b": 2}
    assert dict(proxy | d) == {"a": 1, "b": 2}
    assert dict(chain | d) == {"a": 1, "b": 2}
    for wrong in ([("b", 2)], None, 5, "ab"):
        with pytest.raises(TypeError, match="unsupported operand"):
            d | wrong
        with pytest.raises(TypeError, match="unsupported operand"):
            wrong | d


def test_or_in_place_stores_mappings_and_pairs(new: NEW) -> None:
    d = same = new({"a": 1})
    d |= {"b": 2}
    d |= [("c", 3)]
    d |= new({"a": 4})
    assert d is same
    assert d == {"a": 4, "b": 2, "c": 3}


@pytest.mark.parametrize("wrong", [5, None, [1], [(1,)], [(1, 2, 3)]])
def test_or_in_place_fails_as_dicts_does(d: ANYTHING, wrong: Any) -> None:
    assert outcome(lambda: d.__ior__(wrong)) == outcome(lambda: {}.__ior__(wrong))
    assert d == {}


def test_it_equals_mappings_with_the_same_entries_in_any_order(new: NEW) -> None:
    entries = {"a": 1, "b": [2], ("c", 3): None}
    d = new(entries)
    for equal in (d, entries, dict(reversed(entries.items())), new(entries)):
        assert d == equal
        assert equal == d
        assert not d != equal
    assert d == collections.UserDict(entries)
    assert d == types.MappingProxyType(entries)
    for different in ({}, entries | {"a": 2}, entries | {"d": 1}, {"a": 1}, new(), 5, None, []):
        assert d != different
        assert different != d
        assert not d == different


def test_it_equals_a_dict_whose_keys_are_equal_but_of_another_type(new: NEW) -> None:
    assert new({1: "a", 2.0: "b", False: "c"}) == {True: "a", 2: "b", 0.0: "c"}


def test_it_has_no_hash_and_no_order(d: ANYTHING) -> None:
    with pytest.raises(TypeError, match="unhashable type: 'SharedDict'"):
        hash(d)
    with pytest.raises(TypeError):
        reversed(d)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not supported between"):
        d < {}  # type: ignore[operator]


# Copies.


def test_all_copies_are_plain_dicts_with_values_of_their_own(new: NEW) -> None:
    entries = {"a": [1], "b": {"c": (2,)}}
    d = new(entries)
    for make in (dict, copy.copy, copy.deepcopy, Small.copy, Small.snapshot):
        copied = make(d)
        assert type(copied) is dict
        assert copied == entries
        copied["a"].append(2)
        assert d == entries


def test_a_copy_of_more_entries_than_one_turn_has_all(new: NEW) -> None:
    entries = {i: str(i) * 100 for i in range(5000)}
    d = new(entries, capacity=5000, value_space=2_000_000)
    assert d.copy() == d.snapshot() == dict(d) == entries


# What it looks like.


def test_repr_shows_up_to_twenty_entries(new: NEW) -> None:
    d = new({"a": [1]})
    assert repr(d) == str(d) == f"SharedDict({{'a': [1]}}, name={d.name!r})"
    for count, ends in [(20, False), (21, True), (500, True)]:
        d = new({i: i for i in range(count)})
        text = repr(d)
        assert text.count(": ") == min(count, 20)
        assert ("..." in text) is ends
        assert text.endswith(f"{', ...' * ends}}}, name={d.name!r})")


def test_repr_of_a_closed_handle_does_not_fail(new: NEW) -> None:
    d = new({"a": 1})
    d.close()
    assert repr(d) == "<closed SharedDict>"
    closed = Small()
    closed.close()
    assert repr(closed) == "<closed Small>"


def test_repr_of_a_table_that_holds_itself_ends(new: NEW) -> None:
    d = new()
    d["self"] = d
    assert len(repr(d)) < 10_000


# Types.


def test_it_is_a_mutable_mapping_and_no_dict(d: ANYTHING) -> None:
    assert isinstance(d, MutableMapping)
    assert isinstance(d, Mapping)
    assert not isinstance(d, dict)
    assert issubclass(SharedDict, MutableMapping)


def test_it_can_be_called_with_its_types(name: str) -> None:
    with SharedDict[str, int]({"a": 1}, capacity=10) as d:
        assert type(d) is SharedDict
        assert d == {"a": 1}
    with SharedDict[str, int].create(name, capacity=10) as d:
        assert type(d) is SharedDict


def test_structural_pattern_matching_sees_a_mapping(new: NEW) -> None:
    match new({"a": 1, "b": [2, 3]}):
        case {"c": _}:
            pytest.fail("there is no 'c'")
        case {"a": int(x), "b": [2, y], **rest}:
            assert (x, y, rest) == (1, 3, {})
        case _:
            pytest.fail("it is no mapping")


def test_calls_and_formats_that_take_mappings_take_it(new: NEW) -> None:
    d = new({"a": 1, "b": 2})
    assert (lambda **entries: entries)(**d) == {"a": 1, "b": 2}
    assert {**d, "c": 3} == {"a": 1, "b": 2, "c": 3}
    assert "%(a)s %(b)s" % d == "1 2"
    assert "{a} {b}".format_map(d) == "1 2"
    assert collections.ChainMap({"c": 3}, d)["a"] == 1
    assert sorted(d) == ["a", "b"]
    assert dict(d) == {"a": 1, "b": 2}


# Views.


def test_views_of_keys_are_sets(new: NEW) -> None:
    d = new({"a": 1, "b": 2})
    keys = d.keys()
    assert keys == {"a", "b"} == keys
    assert keys & {"b", "c"} == {"b", "c"} & keys == {"b"}
    assert keys | {"c"} == {"c"} | keys == {"a", "b", "c"}
    assert keys - {"b"} == {"a"}
    assert {"b", "c"} - keys == {"c"}
    assert keys ^ {"b", "c"} == {"b", "c"} ^ keys == {"a", "c"}
    assert {"a"} < keys <= {"a", "b"} < keys | {"c"}
    assert keys >= {"a"}
    assert keys.isdisjoint({"c"}) and not keys.isdisjoint(["a"])
    assert keys & new({"a": 3}).keys() == {"a"}
    assert type(keys & {"b"}) is set


def test_views_of_items_are_sets(new: NEW) -> None:
    d = new({"a": 1, "b": 2})
    items = d.items()
    assert items == {("a", 1), ("b", 2)}
    assert items & {("a", 1), ("b", 3)} == {("a", 1)}
    assert items | {("c", 3)} == {("a", 1), ("b", 2), ("c", 3)}
    assert items - {("a", 1)} == {("b", 2)}
    assert items ^ {("a", 1)} == {("b", 2)}
    assert items.isdisjoint({("a", 2)})
    assert {("a", 1)} < items
    assert items == {"a": 1, "b": 2}.items()


def test_views_know_what_is_in_them(new: NEW) -> None:
    d = new({"a": 1, "b": [2]})
    assert "a" in d.keys() and "c" not in d.keys()
    assert ("a", 1) in d.items() and ("b", [2]) in d.items()
    assert ("a", 2) not in d.items() and ("c", 1) not in d.items()
    assert 1 in d.values() and [2] in d.values() and 1.0 in d.values()
    assert 2 not in d.values()
    nan = float("nan")
    d["nan"] = nan
    assert nan not in d.values()


@pytest.mark.parametrize("no_item", [5, None, "a", ("a",), ("a", 1, 2), ["a", 1]])
def test_what_is_no_pair_is_in_no_view_of_items(new: NEW, no_item: Any) -> None:
    assert no_item not in {"a": 1}.items()
    assert no_item not in new({"a": 1}).items()


def test_views_show_what_is_there_later_and_have_a_length(d: ANYTHING) -> None:
    keys, values, items = d.keys(), d.values(), d.items()
    assert list(keys) == list(values) == list(items) == []
    d["a"] = 1
    assert (list(keys), list(values), list(items)) == (["a"], [1], [("a", 1)])
    assert len(keys) == len(values) == len(items) == 1


def test_iterators_of_a_table_are_iterators(new: NEW) -> None:
    d = new({"a": 1})
    for iterator in (iter(d), iter(d.keys()), iter(d.values()), iter(d.items())):
        assert isinstance(iterator, Iterator)
        assert iter(iterator) is iterator
        next(iterator)
        for _ in range(3):
            assert next(iterator, None) is None


# Writing meanwhile.


@pytest.mark.parametrize("view", ["keys", "values", "items"])
def test_iteration_sees_what_is_there_throughout_exactly_once(new: NEW, view: str) -> None:
    steady = {f"steady {i}" for i in range(300)}
    d = new({key: key for key in steady})
    seen: collections.Counter[str] = collections.Counter()
    for number, found in enumerate(getattr(d, view)()):
        seen[found[0] if view == "items" else found] += 1
        d[f"passing {number}"] = f"passing {number}"
        d.pop(f"passing {number - 5}", None)
        replaced = f"steady {number % 300}"
        d[replaced] = replaced
    assert {key: count for key, count in seen.items() if key in steady} == dict.fromkeys(steady, 1)


def test_iteration_may_remove_everything_it_sees(new: NEW) -> None:
    d = new({i: i for i in range(500)})
    seen = []
    for key in d:
        seen.append(key)
        del d[key]
    assert sorted(seen) == list(range(500))
    assert not d


def test_update_from_itself_changes_nothing(new: NEW) -> None:
    entries = {i: str(i) for i in range(500)}
    d = new(entries)
    d.update(d)
    d.update(d.items())
    d |= d
    assert d == entries


def test_iteration_ends_with_the_handle(new: NEW) -> None:
    d = new({1: 1, 2: 2})
    iterators = [iter(d), iter(d.values()), iter(d.items())]
    for iterator in iterators:
        next(iterator)
    d.close()
    for iterator in iterators:
        with pytest.raises(ClosedError):
            next(iterator)


def test_popitem_drains_everything_exactly_once_while_more_comes(new: NEW) -> None:
    d = new({i: -i for i in range(500)})
    popped: collections.Counter[int] = collections.Counter()
    more = iter(range(500, 800))
    while d:
        key, value = d.popitem()
        assert value == -key
        popped[key] += 1
        if (number := next(more, None)) is not None:
            d[number] = -number
    assert popped == {i: 1 for i in range(800)}
    with pytest.raises(MissingKeyError, match="the SharedDict is empty"):
        d.popitem()


# Update.


class Pairs:
    """Has `keys` and items, and is no Mapping."""

    def __init__(self, entries: dict[Any, Any]) -> None:
        self.entries = entries

    def keys(self) -> Any:
        return self.entries.keys()

    def __getitem__(self, key: Any) -> Any:
        return self.entries[key]


@pytest.mark.parametrize(
    "make",
    [
        lambda entries: entries,
        collections.OrderedDict,
        collections.UserDict,
        types.MappingProxyType,
        Pairs,
        lambda entries: entries.items(),
        lambda entries: list(entries.items()),
        lambda entries: iter(entries.items()),
        lambda entries: (list(pair) for pair in entries.items()),
        lambda entries: (iter(pair) for pair in entries.items()),
        lambda entries: Small(entries),
    ],
)
def test_entries_come_from_everything_that_dict_takes(new: NEW, make: Any) -> None:
    entries = {"a": 1, 2: [3], (): None, 1 << 70: 1 << 70}
    updated = new({"a": 0})
    updated.update(make(entries))
    assert updated == entries
    many = new()
    many.set_many(make(entries))
    assert many == new(make(entries)) == entries


def test_update_takes_keywords_whatever_they_are_called(new: NEW) -> None:
    d = new({"a": 1})
    d.update()
    d.update({"b": 2}, b=3, self=4, entries=5, more=6)
    assert d == {"a": 1, "b": 3, "self": 4, "entries": 5, "more": 6}


def test_of_equal_keys_the_last_pair_counts(new: NEW) -> None:
    pairs = [(1, "a"), (True, "b"), (1.0, "c")]
    d = new(pairs)
    assert d == dict(pairs) == {1: "c"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: None,
        lambda: 5,
        lambda: [1],
        lambda: [(1, 2), 3],
        lambda: [None],
        lambda: ["abc"],
        lambda: ["a"],
        lambda: [()],
        lambda: [(1, 2), (1, 2, 3)],
        lambda: ["ab", "cd", "e"],
        lambda: map(refuse, [1]),
        lambda: [map(refuse, [1])],
        lambda: [(1, 2), [[], 3]],
    ],
)
def test_update_fails_as_dicts_does(d: ANYTHING, wrong: Callable[[], Any]) -> None:
    expected: dict[Any, Any] = {}
    wanted = outcome(lambda: expected.update(wrong()))
    assert wanted[0] is not None
    assert outcome(lambda: d.update(wrong())) == wanted
    assert d == expected


@pytest.mark.parametrize("where", ["keys", "__getitem__"])
def test_update_passes_on_what_a_mapping_raises(d: ANYTHING, where: str) -> None:
    failing = type("Failing", (Pairs,), {where: refuse})
    with pytest.raises(Refusal):
        d.update(failing({"a": 1}))
    assert d == {}


def test_update_notices_that_a_dict_changes_its_size(d: ANYTHING) -> None:
    class Growing:
        def __reduce__(self) -> Any:
            source[len(source)] = None
            return (int, ())

    source: dict[int, Any] = {0: Growing(), 1: Growing(), 2: None}
    with pytest.raises(RuntimeError, match="dictionary changed size during iteration"):
        d.update(source)


# Signatures.


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.get(),
        lambda d: d.get(1, 2, 3),
        lambda d: d.get(key=1),
        lambda d: d.pop(),
        lambda d: d.pop(1, 2, 3),
        lambda d: d.pop(1, default=2),
        lambda d: d.setdefault(),
        lambda d: d.setdefault(1, default=2),
        lambda d: d.popitem(1),
        lambda d: d.clear(1),
        lambda d: d.keys(1),
        lambda d: d.items(1),
        lambda d: d.values(1),
        lambda d: d.update({}, {}),
        lambda d: d.__getitem__(),
        lambda d: d.__contains__(),
        lambda d: d.__setitem__(1),
        lambda d: d.fromkeys(),
    ],
)
def test_calls_that_dict_refuses_are_refused(d: ANYTHING, call: Any) -> None:
    for target in ({}, d):
        with pytest.raises(TypeError):
            call(target)


def test_missing_keys_are_key_errors_with_the_key(d: ANYTHING) -> None:
    d["there"] = 1
    for key in ("a", 1, ("b", (2,)), None, b"c", 1.5):
        for call in (lambda: d[key], lambda: d.pop(key), lambda: d.__delitem__(key)):
            with pytest.raises(KeyError) as caught:
                call()
            assert caught.type is MissingKeyError
            assert caught.value.args == (key,)
            assert str(caught.value) == str(KeyError(key))
    assert d == {"there": 1}


# Subclasses.


class Counting(SharedDict[str, int]):
    """With an `__init__`, an attribute and a method of its own."""

    def __init__(self, label: str, /) -> None:
        super().__init__({"zero": 0}, capacity=100)
        self.label = label

    def count(self, key: str) -> int:
        return self.add(key)


class Slotted(SharedDict[str, int]):
    __slots__ = ("label",)


def test_a_subclass_has_its_own_init_and_attributes() -> None:
    with Counting("mine") as d:
        assert d.label == "mine"
        assert [d.count("a"), d.count("a"), d["zero"]] == [1, 2, 0]
        assert repr(d).startswith("Counting({")
        assert type(d.copy()) is dict


def test_a_subclass_is_opened_and_unpickled_as_itself(name: str) -> None:
    with Slotted.create(name, capacity=10) as d:
        d.label = "mine"
        assert type(Slotted.open(name)) is Slotted
        with pickle.loads(pickle.dumps(d)) as again:
            assert type(again) is Slotted
            again["a"] = 1
        assert d == {"a": 1}
    with Slotted(capacity=10) as d:
        assert type(d) is Slotted
        assert not hasattr(d, "__dict__")


def test_a_subclass_whose_init_takes_more_is_unpickled_without_it() -> None:
    with Counting("mine") as d:
        again = pickle.loads(pickle.dumps(d))
        assert type(again) is Counting
        assert again.name == d.name
        again.count("a")
        again.close()
        assert d == {"zero": 0, "a": 1}


def outcome(call: Callable[[], object]) -> tuple[type | None, str]:
    """What a call raises."""
    try:
        call()
    except Exception as error:
        return type(error), str(error)
    return None, ""
