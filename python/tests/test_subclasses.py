"""Is a user's subclass opened, shown and unpickled as itself?"""

from __future__ import annotations

import pickle

from shmtable import SharedDict


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
