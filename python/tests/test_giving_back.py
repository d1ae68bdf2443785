"""Does a table give back the memory of what is gone, whoever reads it?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

TABLE = SharedDict[int, bytes]

COUNT = 20_000
VALUE = b"v" * 1000
# More than a small table keeps of what its values took.
KEPT = 6 << 20


def of_values(d: SharedDict[Any, Any]) -> int:
    """The bytes of memory that the values take: those of the file, without the index."""
    taken = os.stat(f"/dev/shm/shmtable.{d.name}").st_blocks * 512
    stats = d.stats()
    assert stats["memory_bytes"] == taken
    return taken - stats["index_bytes"]


def filled() -> TABLE:
    d: TABLE = SharedDict()
    d.set_many({number: VALUE for number in range(COUNT)})
    assert of_values(d) >= COUNT * len(VALUE)
    return d


def remove_each(d: TABLE) -> None:
    for number in range(COUNT):
        del d[number]


WAYS: dict[str, Callable[[TABLE], object]] = {
    "clear": lambda d: d.clear(),
    "del": remove_each,
    "pop_many": lambda d: d.pop_many(range(COUNT)),
    "retain": lambda d: d.retain(lambda key, value: False),
}


@pytest.mark.parametrize("way", WAYS)
def test_memory_of_what_is_gone_comes_back(way: str) -> None:
    with filled() as d:
        for _ in range(2):
            WAYS[way](d)
            assert len(d) == 0
            assert of_values(d) <= KEPT
            d.set_many({number: VALUE for number in range(COUNT)})
            assert d.get_many([0, COUNT - 1, COUNT]) == [VALUE, VALUE, None]
        assert d.check() == []


def test_shrink_to_fit_says_how_much_it_gave_back() -> None:
    with filled() as d:
        d.set_many({number: b"short" * 10 for number in range(COUNT)})
        before = d.stats()["memory_bytes"]
        given = d.shrink_to_fit()
        assert given > COUNT * len(VALUE) // 2
        assert d.stats()["memory_bytes"] == before - given
        assert d[COUNT - 1] == b"short" * 10


READER = """
import sys
from shmtable import SharedDict
with SharedDict.open(sys.argv[1], read_only=True) as d:
    print(d[0] == b"v" * 1000, flush=True)
    sys.stdin.read()
"""


def test_nothing_comes_back_while_another_process_has_a_read_only_handle() -> None:
    with filled() as d:
        reader = workers.start(READER, d.name)
        assert reader.stdout is not None and reader.stdout.readline() == "True\n"
        d.clear()
        assert of_values(d) >= COUNT * len(VALUE)
        assert d.shrink_to_fit() == 0
        assert workers.ended(reader)[0] == 0
        assert d.shrink_to_fit() > COUNT * len(VALUE) // 2


def test_a_read_only_handle_of_this_process_keeps_nothing() -> None:
    with filled() as d, SharedDict.open(d.name, read_only=True) as reader:
        assert reader[0] == VALUE
        d.clear()
        assert of_values(d) <= KEPT and len(reader) == 0


def test_a_fixed_capacity_keeps_its_memory() -> None:
    with SharedDict(capacity=1000) as d:
        d.update({number: VALUE for number in range(1000)})
        before = of_values(d)
        d.clear()
        assert (d.shrink_to_fit(), of_values(d)) == (0, before)


def read_all(d: TABLE) -> None:
    for _ in range(20):
        for number in range(0, COUNT, 7):
            assert d.get(number, VALUE) == VALUE
        assert set(d.values()) <= {VALUE}


def test_forked_children_read_beside_it() -> None:
    with filled() as d:
        children = [workers.fork(read_all, d) for _ in range(3)]
        for _ in range(5):
            d.clear()
            d.shrink_to_fit()
            d.set_many({number: VALUE for number in range(COUNT)})
        workers.all_well(children)
        assert d.check() == []
        d.clear()
        assert of_values(d) <= KEPT


def read_in_turn(d: TABLE, turns: int) -> None:
    for _ in range(turns):
        assert d.get(0, VALUE) == VALUE


def test_a_child_without_a_participant_slot_reads_too() -> None:
    with SharedDict(max_participants=1) as d:
        d.set_many({number: VALUE for number in range(COUNT)})
        children = [workers.fork(read_in_turn, d, 10_000) for _ in range(3)]
        for _ in range(3):
            d.clear()
            d.set_many({number: VALUE for number in range(COUNT)})
        workers.all_well(children)
        d.clear()
        d.shrink_to_fit()
        assert of_values(d) <= KEPT
