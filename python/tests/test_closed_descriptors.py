"""Does a daemon that closes all descriptors do no harm, and get an error that says so?"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from shmtable import DescriptorClosedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

KEYS = 300
WRITES = 60_000


def close_descriptors() -> None:
    os.closerange(3, 256)


def test_a_daemon_that_opens_the_table_again_writes_and_its_old_handle_is_refused(name: str) -> None:
    with SharedDict(name=name, capacity=1000) as d:

        def daemon() -> None:
            d["before"] = 1
            close_descriptors()
            with SharedDict.open(name) as again:
                again["daemon"] = "x" * 100
                try:
                    d["old handle"] = 2
                except DescriptorClosedError as error:
                    again["error"] = str(error)
                assert d["before"] == 1
                assert isinstance(DescriptorClosedError(), OSError)

        workers.all_well([workers.fork(daemon)])
        assert d.copy() == {"before": 1, "daemon": "x" * 100, "error": d["error"]}
        assert "open the table again" in d["error"]
        assert d.check() == []


def test_daemons_that_write_on_lose_no_entry_and_make_none_twice(name: str) -> None:
    with SharedDict(name=name, capacity=2000) as d:

        def value(number: int) -> str:
            return str(number).zfill(number % 90)

        def write(me: int) -> None:
            d[me, 0] = value(0)
            last = 0
            if me:
                close_descriptors()
            try:
                for number in range(1, WRITES + 1):
                    d[me, number % KEYS] = value(number)
                    last = number
            except DescriptorClosedError:
                assert me
            else:
                assert last == WRITES
            with SharedDict.open(name) as again:
                again["last", me] = last

        workers.all_well([workers.fork(write, me) for me in range(4)])
        keys = [key for key in d]
        assert len(keys) == len(set(keys))
        assert d["last", 0] == WRITES
        for me in range(4):
            last = d["last", me]
            for number in range(max(last - KEYS + 1, 0), last + 1):
                assert d[me, number % KEYS] == value(number)
        assert d.check() == []
