"""Is it a mapping as dict is one, and does it differ only as documented?"""

from __future__ import annotations

import collections
import copy
import sys
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from shmtable import MissingKeyError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
from mappings import Small, outcome

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


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
