"""Who stores and loads pickles, and is a planted one never loaded elsewhere?"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from shmtable import CodecError, PickleRefusedError, SharedDict, WrongOwnerError

sys.path.insert(0, str(Path(__file__).parent))
from damage import damaged, reads, takes

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


class Planted:
    """Writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def plant(raw: ANYTHING, key: bytes, pickled: Any, into: bytes = b"") -> None:
    """Stores a pickle as an attacker would."""
    raw[key] = into + msgpack.packb(msgpack.ExtType(80, pickle.dumps(pickled)))


def test_a_table_that_others_may_write_to_stores_no_pickle(new: NEW) -> None:
    for mode in (0o666, 0o622, 0o602, 0o620, 0o660):
        d = new(mode=mode)
        assert d.allow_pickle is False
        d["plain"] = {"a": [1]}
        for store in (lambda: d.update(key={1}), lambda: d.setdefault("key", (1,))):
            with pytest.raises(PickleRefusedError, match="refused to store a pickle: .*allow_pickle"):
                store()
        assert d == {"plain": {"a": [1]}}
        d.close()


def test_a_table_that_others_may_only_read_stores_pickles(new: NEW) -> None:
    for mode in (0o600, 0o644, 0o640, 0o604):
        d = new({"key": {1}}, mode=mode)
        assert d.allow_pickle is True
        assert d["key"] == {1}
        d.close()


def test_allow_pickle_overrides_the_mode(name: str) -> None:
    with SharedDict(name=name, mode=0o666, allow_pickle=True, capacity=10) as d:
        assert d.allow_pickle is True
        d["key"] = (1, {2})
        assert d["key"] == (1, {2})
        with SharedDict.open(name) as careful, pytest.raises(PickleRefusedError):
            careful["key"]
        with pickle.loads(pickle.dumps(d)) as again:
            assert again["key"] == (1, {2})


def test_allow_pickle_false_refuses_them_in_a_private_table(name: str) -> None:
    with SharedDict({"key": {1}}, name=name, capacity=10) as d:
        with SharedDict.open(name, allow_pickle=False) as careful:
            assert careful.allow_pickle is False
            with pytest.raises(PickleRefusedError, match="refused to load a pickle"):
                careful["key"]
            with pytest.raises(PickleRefusedError, match="refused to store a pickle"):
                careful["key"] = {2}
            with pytest.raises(PickleRefusedError):
                pickle.loads(pickle.dumps(careful))["key"]
        assert d["key"] == {1}


def test_only_tables_whose_codec_is_pickle_have_pickles(new: NEW) -> None:
    for codec in ("msgpack", "json", "raw"):
        assert new(codec=codec, allow_pickle=True).allow_pickle is False


def test_a_planted_pickle_is_loaded_where_pickles_are(tmp_path: Path) -> None:
    # That the tests below would notice it.
    with damaged("pickle") as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        assert d[5] is None
    assert (tmp_path / "planted").exists()


@pytest.mark.parametrize("into", [b"", b"\x91", b"\x81\x01"], ids=["itself", "a list", "a dict"])
@pytest.mark.parametrize("options", [{"mode": 0o666}, {"allow_pickle": False}], ids=repr)
def test_a_planted_pickle_is_not_loaded_by_any_operation_and_stays(
    tmp_path: Path, options: Any, into: bytes
) -> None:
    with damaged("pickle", **options) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"), into)
        before = raw.copy()
        for name, read in reads(d, 5).items():
            with pytest.raises(PickleRefusedError, match="refused to load a pickle"):
                pytest.fail(f"{name} gave {read()!r}")
            assert not (tmp_path / "planted").exists(), name
            assert raw.copy() == before, name
        del d[5]
        assert not d
    assert not (tmp_path / "planted").exists()


def test_a_planted_pickle_is_shown_as_the_error_of_loading_it(tmp_path: Path) -> None:
    with damaged("pickle", mode=0o666) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        assert "{5: <PickleRefusedError>}" in repr(d)
    assert not (tmp_path / "planted").exists()


def test_a_planted_pickle_is_not_removed_by_who_would_have_got_it(tmp_path: Path) -> None:
    with damaged("pickle", mode=0o666) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        before = raw.copy()
        for name, take in takes(d, 5).items():
            with pytest.raises(PickleRefusedError, match="refused to load a pickle"):
                pytest.fail(f"{name} gave {take()!r}")
            assert not (tmp_path / "planted").exists(), name
            assert raw.copy() == before, name


@pytest.mark.parametrize("codec", ["msgpack", "json", "raw"])
def test_a_planted_pickle_is_not_loaded_with_another_codec(tmp_path: Path, codec: str) -> None:
    with damaged(codec, allow_pickle=True) as (d, raw):
        plant(raw, b"\x05", Planted(tmp_path / "planted"))
        key = b"\x05" if codec == "raw" else 5
        for read in [*reads(d, key).values(), *takes(d, key).values()]:
            with contextlib.suppress(CodecError, PickleRefusedError, TypeError, KeyError):
                read()
    assert not (tmp_path / "planted").exists()


def test_a_planted_pickle_is_not_loaded_as_a_key(tmp_path: Path) -> None:
    with damaged("pickle") as (d, raw):
        key = msgpack.packb(msgpack.ExtType(80, pickle.dumps(Planted(tmp_path / "planted"))))
        raw[key] = b"\x01"
        raw[b"\x91" + key] = b"\x01"
        for look in (lambda: list(d), lambda: d.copy(), lambda: d.popitem()):
            with pytest.raises(CodecError):
                look()
        assert repr(d).count("<CodecError>") == 2
    assert not (tmp_path / "planted").exists()


def test_a_damaged_pickle_raises_what_pickle_raises(name: str) -> None:
    with SharedDict({"key": {1, 2}}, name=name, capacity=10) as d:
        with SharedDict.open(name, codec="raw") as raw:
            raw[b"\xa3key"] = msgpack.packb(msgpack.ExtType(80, pickle.dumps({1, 2})[:-1]))
        with pytest.raises((pickle.UnpicklingError, EOFError, CodecError)):
            d["key"]


# The tests of other users' tables are for those who may give a table away.
if os.geteuid() == 0:
    STRANGER = 65534

    @pytest.fixture
    def strangers(name: str, tmp_path: Path) -> str:
        """A table that belongs to somebody else, with a pickle in it."""
        with SharedDict.create(name, capacity=10) as d:
            d["plain"] = 1
            with SharedDict.open(name, codec="raw") as raw:
                plant(raw, msgpack.packb("pickle"), Planted(tmp_path / "planted"))
        os.chown(f"/dev/shm/shmtable.{name}", STRANGER, STRANGER)
        return name

    def test_a_table_of_another_user_is_not_opened(strangers: str) -> None:
        for attach in (
            lambda: SharedDict(name=strangers),
            lambda: SharedDict.open(strangers),
            lambda: SharedDict.open(strangers, read_only=True),
            lambda: SharedDict.open(strangers, codec="raw"),
            lambda: SharedDict.open(strangers, trust=[]),
            lambda: SharedDict.open(strangers, trust=[12345]),
        ):
            with pytest.raises(WrongOwnerError, match=f"belongs to user {STRANGER}") as caught:
                attach()
            assert isinstance(caught.value, PermissionError)

    @pytest.mark.parametrize("trust", ["anyone", [STRANGER], [1, STRANGER]], ids=repr)
    def test_a_trusted_users_table_is_opened_and_its_pickles_not_loaded(
        strangers: str, tmp_path: Path, trust: Any
    ) -> None:
        for options in ({}, {"read_only": True}):
            with SharedDict.open(strangers, trust=trust, **options) as d:
                assert d["plain"] == 1
                assert d.allow_pickle is False
                with pytest.raises(PickleRefusedError):
                    d["pickle"]
                if not options:
                    with pytest.raises(PickleRefusedError):
                        d["new"] = {1}
                with pickle.loads(pickle.dumps(d)) as again, pytest.raises(PickleRefusedError):
                    again["pickle"]
        assert not (tmp_path / "planted").exists()

    def test_a_trusted_users_pickles_are_loaded_if_asked_for(
        strangers: str, tmp_path: Path
    ) -> None:
        with SharedDict.open(strangers, trust=[STRANGER], allow_pickle=True) as d:
            assert d["pickle"] is None
        assert (tmp_path / "planted").exists()
