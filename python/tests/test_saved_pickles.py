"""Does a file's pickle come into a table only if no one else may have written it?"""

from __future__ import annotations

import enum
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from shmtable import CodecError, PickleRefusedError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Color(enum.Enum):
    RED = 1


class Planted:
    """Writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saved.dump"


def refused(path: Path, name: str, **options: Any) -> None:
    """Loads a file, which must be refused, and leave every table as it was."""
    with pytest.raises(PickleRefusedError, match="refused to load the pickles .*allow_pickle=True"):
        SharedDict.load(path, name, **options)
    assert not workers.exists(name)
    with SharedDict.create(name, capacity=10) as old:
        with pytest.raises(PickleRefusedError):
            SharedDict.load(path, name, replace=True, **options)
        assert not old.unlinked
        old.unlink()


def test_pickles_of_a_file_that_only_its_owner_may_write_come_back(new: NEW, path: Path) -> None:
    new({"set": {1}, Color.RED: 1}).save(path)
    for mode in (0o600, 0o644):
        path.chmod(mode)
        with ANYTHING.load(path) as d:
            assert d == {"set": {1}, Color.RED: 1}
            assert d.allow_pickle


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("entry", [("key", {1}), (Color.RED, 1), (("a", int), 1), (("a", frozenset({Color.RED})), 1)], ids=repr)
def test_a_file_with_a_pickle_that_others_may_write_is_refused(
    new: NEW, path: Path, name: str, mode: int, entry: tuple[Any, Any]
) -> None:
    new([("plain", 1), entry]).save(path)
    path.chmod(mode)
    refused(path, name)
    with ANYTHING.load(path, allow_pickle=True) as d:
        assert d == dict([("plain", 1), entry])


@pytest.mark.parametrize("options", [{"allow_pickle": False}, {"mode": 0o666}, {"mode": 0o620}], ids=repr)
def test_a_table_that_takes_no_pickles_gets_none_of_a_file(
    new: NEW, path: Path, name: str, options: Any
) -> None:
    new({"key": {1}}).save(path)
    refused(path, name, **options)


def test_a_file_without_pickles_is_loaded_whoever_may_write_it(new: NEW, path: Path) -> None:
    entries = {"a": [1, {"b": None}], ("t", 1): "text", b"bytes": 2.5}
    new(entries).save(path)
    path.chmod(0o666)
    for options in ({}, {"allow_pickle": False}, {"mode": 0o666}):
        with ANYTHING.load(path, **options) as d:
            assert d == entries


@pytest.mark.parametrize("codec", ["msgpack", "json", "raw"])
def test_other_codecs_have_no_pickles_to_refuse(new: NEW, path: Path, codec: str) -> None:
    entries = {b"a": b"1"} if codec == "raw" else {"a": 1}
    new(entries, codec=codec).save(path)
    path.chmod(0o666)
    with ANYTHING.load(path) as d:
        assert d == entries


@pytest.mark.parametrize("into", [b"", b"\x91", b"\x81\x01"], ids=["itself", "a list", "a dict"])
def test_a_planted_pickle_is_refused_and_never_loaded(
    new: NEW, path: Path, name: str, tmp_path: Path, into: bytes
) -> None:
    d = new({"plain": 1})
    planted = tmp_path / "planted"
    with ANYTHING.open(d.name, codec="raw") as raw:
        raw[b"\x05"] = into + msgpack.packb(msgpack.ExtType(80, pickle.dumps(Planted(planted))))
    d.save(path)
    path.chmod(0o666)
    refused(path, name)
    assert not planted.exists()
    # As bytes it does no harm.
    with ANYTHING.load(path, codec="raw") as raw:
        assert len(raw) == 2
    # That it would be noticed.
    with ANYTHING.load(path, allow_pickle=True) as trusting:
        assert not planted.exists()
        _ = trusting[5]
    assert planted.exists()


def ext(length: int) -> msgpack.ExtType:
    return msgpack.ExtType(73, bytes(length))


# A value of every form that MessagePack has.
FORMS: list[Any] = [
    *(None, True, False, 1.5, -1, -100, -1000, -100_000, -(2**40)),
    *(1, 200, 60_000, 2**31, 2**63),
    *(form * length for form in ("x", b"x") for length in (0, 31, 32, 255, 256, 70_000)),
    *(ext(length) for length in (1, 2, 4, 8, 16, 3, 255, 256, 70_000)),
    *([None] * length for length in (0, 15, 16, 70_000)),
    *(dict.fromkeys(range(length)) for length in (0, 15, 16, 70_000)),
    [[{"a": {"b": [{}]}}]],
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{type(form).__name__}-{form!r:.20}")
def test_a_pickle_is_found_behind_a_value_of_every_form_and_nowhere_else(
    new: NEW, path: Path, name: str, form: Any
) -> None:
    d = new({"plain": 1}, value_space=1 << 22)
    pickled = msgpack.ExtType(80, b"not even a pickle")
    with ANYTHING.open(d.name, codec="raw") as raw:
        raw[b"\x05"] = msgpack.packb([form, {"P": b"\xc7\x01\x50"}])
        d.save(path)
        path.chmod(0o666)
        ANYTHING.load(path).close()
        raw[b"\x05"] = msgpack.packb([form, {"P": [pickled]}])
    d.save(path)
    refused(path, name)


def test_a_pickle_behind_what_this_program_cannot_read_is_refused(
    new: NEW, path: Path, name: str
) -> None:
    # Another program may know the extension type, and load what comes after it.
    d = new({"plain": 1})
    unknown = msgpack.ExtType(127, b"x")
    with ANYTHING.open(d.name, codec="raw") as raw:
        raw[b"\x05"] = msgpack.packb([unknown, msgpack.ExtType(80, b"")])
        d.save(path)
        with pytest.raises(CodecError):
            d[5]
    path.chmod(0o666)
    refused(path, name)


def test_a_value_that_no_one_can_decode_is_stored_as_it_is(new: NEW, path: Path) -> None:
    d = new({"plain": 1})
    with ANYTHING.open(d.name, codec="raw") as raw:
        raw[b"\xa1a"] = b"\xc1"
        before = raw.copy()
    d.save(path)
    path.chmod(0o666)
    with ANYTHING.load(path) as loaded, ANYTHING.open(loaded.name, codec="raw") as raw:
        assert raw.copy() == before


# Whose file it is can be tested by those who may give one away.
if os.geteuid() == 0:

    def test_a_file_of_another_user_is_refused_if_it_has_pickles(
        new: NEW, path: Path, name: str
    ) -> None:
        new({"key": {1}}).save(path)
        os.chown(path, 65534, 65534)
        refused(path, name)
        new({"key": [1]}).save(path)
        os.chown(path, 65534, 65534)
        with ANYTHING.load(path) as d:
            assert d == {"key": [1]}
