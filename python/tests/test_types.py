"""Do the annotations hold, in the package and for its users?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import shmtable

PACKAGE = Path(__file__).resolve().parents[1] / "shmtable"

# What a type checker makes of a user's program; each claim is an assert_type.
GOOD = """
import copy
import datetime
import multiprocessing
import pathlib
from collections.abc import ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import Any, Literal

import numpy
import shmtable
import shmtable._missing
from shmtable import MISSING, Error, SharedDict, TableOptions, aio
from typing_extensions import Unpack, assert_type

d = SharedDict[str, int]()
assert_type(d, SharedDict[str, int])
assert_type(SharedDict({"a": 1}), SharedDict[str, int])
assert_type(SharedDict([("a", 1)], name="n", capacity=10), SharedDict[str, int])
opened: SharedDict[str, int] = SharedDict(name="n", codec="json", trust=[1], mode=0o600)
assert_type(SharedDict[str, int].create("n", codec="raw"), SharedDict[str, int])
assert_type(SharedDict[str, int].create("n", replace=True, trust=[1]), SharedDict[str, int])
assert_type(SharedDict[str, int].load("file", "n", capacity=10, replace=True), SharedDict[str, int])
assert_type(SharedDict[str, int].load(pathlib.Path("file"), codec="raw"), SharedDict[str, int])
assert_type(SharedDict[str, int].open("n", read_only=True, trust="anyone"), SharedDict[str, int])
with d as same:
    assert_type(same, SharedDict[str, int])
SharedDict.unlink("n")
d.unlink()
assert_type(d.close(), None)

assert_type(d["a"], int)
assert_type(d.get("a"), int | None)
assert_type(d.get("a", 0), int)
assert_type(d.get("a", "none"), int | str)
assert_type(d.pop("a"), int)
assert_type(d.pop("a", 0), int)
assert_type(d.pop("a", None), int | None)
assert_type(d.popitem(), tuple[str, int])
assert_type(d.setdefault("a", 1), int)
assert_type("a" in d, bool)
assert_type(len(d), int)
assert_type([key for key in d], list[str])
assert_type(iter(d), Iterator[str])
assert_type(d.keys(), KeysView[str])
assert_type(d.values(), ValuesView[int])
assert_type(d.items(), ItemsView[str, int])
assert_type([pair for pair in d.items()], list[tuple[str, int]])
d["a"] = 2
del d["a"]
d.update({"a": 1}, b=2)
d.update([("a", 1)])

assert_type(d.copy(), dict[str, int])
assert_type(d.snapshot(), dict[str, int])
assert_type(d.save("file"), int)
assert_type(d.save(pathlib.Path("file"), progress=lambda done, total: print(done / total)), int)
assert_type(copy.copy(d), SharedDict[str, int])  # As for every type: see copy.copy's stub.
assert_type(d | {"b": 2}, dict[str, int])
assert_type({"b": 2} | d, dict[str, int])
assert_type(d | d, dict[str, int])
assert_type(d | {1: "b"}, dict[str | int, int | str])
d |= {"b": 2}
d |= [("b", 2)]
assert_type(d, SharedDict[str, int])
assert_type(d == {}, bool)

assert_type(d.add("a"), int)
assert_type(d.add("a", 2), int)
assert_type(d.add("a", numpy.int64(2)), int)
floats = SharedDict[str, float]()
assert_type(floats.add("a", 0.5), float)
anything = SharedDict[str, Any]()
assert_type(anything.get("a"), Any | None)
assert_type(d.compare_exchange("a", 1, 2), bool)
assert_type(d.compare_exchange("a", MISSING, 2), bool)
assert_type(d.compare_exchange("a", 1, MISSING), bool)


def raised(old: int) -> int:
    return old + 1


def raised_or_gone(old: int) -> int | Literal[shmtable._missing.Missing.MISSING]:
    return old + 1 if old else MISSING


class Stock(SharedDict[str, int]):
    def __init__(self, place: str, **options: Unpack[TableOptions]) -> None:
        super().__init__(**options)
        self.place = place


assert_type(Stock("here", capacity=10, codec="json"), Stock)


# With functions that have types: for a lambda, mypy finds both overloads fitting.
assert_type(d.update_value("a", raised), int)
assert_type(d.update_value("a", raised, 0), int)
gone = d.update_value("a", raised_or_gone)
if gone is not MISSING:
    assert_type(gone, int)
d.update_value("a", lambda old: old + 1)
d.update_value("a", lambda old: old + 1, 0)
d.update_value("a", lambda old: MISSING)
lists = SharedDict[str, list[int]]()
with lists.edit("a") as numbers, lists.edit("b", default=[]) as more:
    assert_type(numbers, list[int])
    assert_type(more, list[int])
assert_type(d.get_or_compute("a", lambda: 1), int)


async def one() -> int:
    return 1


async def coroutine() -> None:
    assert_type(await aio.wait(d, "a", timeout=0.5), int)
    async for value in aio.watch(d, "a"):
        if value is not MISSING:
            assert_type(value, int)
    assert_type(await aio.get_or_compute(d, "a", one, timeout=0.5), int)
    assert_type(await aio.wait_any(d, {"a", "b"}, timeout=0.5), tuple[str, int])
    assert_type(await aio.claim(d, "a", timeout=0.5), shmtable.Claim[str] | None)
    async with aio.claim(d, "a") as claim, aio.lock(d, 1, timeout=0.5) as lock:
        assert_type(claim, shmtable.Claim[str])
        assert_type(lock, aio.Lock)
        assert_type(await lock.acquire(0), bool)
        lock.release()


assert_type(d.get_or_compute("a", lambda: 1, timeout=0.5), int)
assert_type(d.wait("a"), int)
assert_type(d.wait("a", timeout=0.5), int)
assert_type(d.wait_any({"a", "b"}, timeout=0.5), tuple[str, int])
assert_type(d.watch("a", timeout=0.5), Iterator[int | Literal[shmtable._missing.Missing.MISSING]])
assert_type(d.get_many(["a", "b"]), list[int | None])
assert_type(d.get_many(iter(["a"]), 0), list[int])
assert_type(d.get_many(("a",), default="none"), list[int | str])
d.set_many({"a": 1})
d.set_many(pair for pair in [("a", 1)])
assert_type(d.wait_change("a", 1), int | Literal[shmtable._missing.Missing.MISSING])
assert_type(d.replace("a", 1), int | None)
assert_type(d.replace("a", 1, "none"), int | str)
assert_type(d.retain(lambda key, value: value > len(key)), int)
assert_type(d.remove_many(["a"]), int)
assert_type(d.pop_many(["a"]), list[int | None])
assert_type(d.pop_many(["a"], "none"), list[int | str])
assert_type(d.scan("a"), Iterator[tuple[str, int]])
assert_type(d.remove_prefix(("a", 1)), int)
assert_type(d.check(), list[str])
assert_type(d.repair(), list[str])
assert_type(d.stats(), shmtable.Stats)
assert_type(d.stats()["entries"], int)
assert_type(d.name, str)
assert_type(d.capacity, int)
assert_type(d.closed, bool)
assert_type(d.read_only, bool)
assert_type(d.anonymous, bool)
assert_type(d.unlinked, bool)
assert_type(d.allow_pickle, bool)
assert_type(d.codec, Literal["pickle", "msgpack", "json", "raw"])
assert_type(shmtable.tables(), list[str])
assert_type(shmtable.table_infos(), list[shmtable.TableInfo])
assert_type(shmtable.table_infos(trust=[0])[0].entries, int | None)
assert_type(shmtable.table_infos()[0].created, datetime.datetime | None)
assert_type(shmtable.table_infos()[0].age, datetime.timedelta | None)
assert_type(shmtable.table_infos()[0].error, Error | None)
assert_type(shmtable.orphans(), dict[str, int])
assert_type(shmtable.gc(), list[str])


def takes(mapping: Mapping[str, int], mutable: MutableMapping[str, int]) -> None: ...


takes(d, d)
multiprocessing.Process(target=takes, args=(d, d))
match d:
    case {"a": x}:
        assert_type(x, int)


class Counts(SharedDict[str, int]):
    def count(self, key: str) -> int:
        return self.add(key)


assert_type(Counts.open("n"), Counts)
assert_type(Counts.load("file"), Counts)
with Counts() as counts:
    assert_type(counts, Counts)
    assert_type(counts["a"], int)
maybe = SharedDict[str, int | None]()
assert_type(maybe.setdefault("a"), int | None)
try:
    d["a"]
except shmtable.MissingKeyError as error:
    assert isinstance(error, KeyError)
except Error as other:
    assert_type(other, Error)
"""

# What a type checker is to refuse: a line each.
BAD = """
d[1]
d["a"] = "text"
d.get(1)
d.setdefault("a")
d.set_many({"a": "text"})
d.compare_exchange("a", "text", 1)
d.update_value("a", lambda old: "text")
d.get_or_compute("a", lambda: "text")
d.edit("a", "text")
d.get_many([1])
aio.wait(d, 1)
aio.wait_any(d, [1])
aio.claim(d, 1)
with aio.lock(d, "a"): pass
d.pop_many([1])
d.remove_many([1])
d.replace("a", "text")
d.wait_change("a", "text")
d.wait_any([1])
d.scan(1)
d.save(1)
d.save("file", progress=1)
SharedDict.load(b"file")
SharedDict.load("file", codec="xml")
d | 5
d.unknown()
SharedDict({"a": 1}, codec="xml")
SharedDict({"a": 1}, unknown=1)
SharedDict({"a": 1}, trust="nobody")
SharedDict.open("n", capacity=10)
SharedDict(x=1)
SharedDict.create("n", codec="xml")
SharedDict.load("file", unknown=1)
SharedDict({"a": 1}, 5)
d.name = "other"
"""


def mypy(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"--cache-dir={tmp_path_factory.mktemp('mypy')}"


def test_the_installed_package_is_the_one_that_is_tested() -> None:
    assert "site-packages" in Path(shmtable.__file__).parts
    assert (Path(shmtable.__file__).parent / "py.typed").exists()
    assert (Path(shmtable.__file__).parent / "_native.pyi").exists()


def test_the_package_is_strictly_typed(tmp_path: Path, cache: str) -> None:
    checked = mypy(cache, PACKAGE, cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


def test_a_users_program_has_the_types_it_should(tmp_path: Path, cache: str) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    checked = mypy(cache, "good.py", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


def test_what_is_wrong_is_refused_line_by_line(tmp_path: Path, cache: str) -> None:
    head = "from shmtable import SharedDict, aio\nd = SharedDict[str, int]()\n"
    lines = BAD.strip().splitlines()
    (tmp_path / "bad.py").write_text(head + "\n".join(lines) + "\n")
    checked = mypy(cache, "bad.py", cwd=tmp_path)
    assert checked.returncode == 1
    refused = {
        int(line.split(":")[1]) - 3 for line in checked.stdout.splitlines() if ": error:" in line
    }
    assert [line for number, line in enumerate(lines) if number not in refused] == []


# Their defaults stand for "not given", and are shown by a name that has no type.
SHOWN_BY_NAME = """
shmtable._native.SharedDictBase.edit
shmtable._native.SharedDictBase.pop
shmtable._native.SharedDictBase.update_value
"""


def test_the_stubs_are_as_the_module_is(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text(SHOWN_BY_NAME)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "shmtable", "--allowlist", str(allowed)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
