"""Is each name and option that no table can have refused, and every other one taken?"""

from __future__ import annotations

import errno
import inspect
import pydoc
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import (
    AlreadyExistsError,
    InvalidNameError,
    InvalidOptionError,
    NotFoundError,
    SharedDict,
    TableOptions,
)
from shmtable._settings import Settings

sys.path.insert(0, str(Path(__file__).parent))
from workers import THERE

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


# Names.


@pytest.mark.parametrize("wrong", ["", "/", "a/b", ".hidden", ".", "a\0b", "x" * 247, "é" * 124])
def test_names_that_no_table_can_have_are_refused(wrong: str) -> None:
    for call in (
        lambda: SharedDict(name=wrong),
        lambda: SharedDict.create(wrong),
        lambda: SharedDict.open(wrong),
        lambda: SharedDict.open(wrong, read_only=True),
        lambda: SharedDict.unlink(wrong),
    ):
        with pytest.raises(InvalidNameError, match="cannot name a table: .*; use 1 to 246 bytes"):
            call()


def test_a_name_that_is_no_unicode_is_an_invalid_name() -> None:
    with pytest.raises(InvalidNameError):
        SharedDict(name="a\ud800", capacity=10)


def test_the_longest_name_is_taken() -> None:
    for name in ("x" * 246, "é" * 123, "a b\n~'"):
        with SharedDict.create(name, capacity=10) as d:
            assert d.name == name
            assert name in shmtable.tables()
            d.unlink()
        assert name not in shmtable.tables()


def test_what_is_not_there_can_neither_be_opened_nor_unlinked(name: str) -> None:
    for call in (
        lambda: SharedDict.open(name),
        lambda: SharedDict.open(name, read_only=True),
        lambda: SharedDict.unlink(name),
    ):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.errno == errno.ENOENT


def test_what_is_there_is_not_created_again(there: ANYTHING, name: str) -> None:
    with pytest.raises(AlreadyExistsError) as caught:
        SharedDict.create(name)
    assert caught.value.errno == errno.EEXIST
    assert there == THERE


# Options.


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("capacity", [0, (1 << 40) + 1, -1, 1 << 64, -(1 << 70)]),
        ("max_capacity", [0, (1 << 40) + 1, -1, 1 << 64]),
        ("max_bytes", [0, 1000, -1, 1 << 64]),
        ("value_space", [0, (1 << 43) + 1, -1, 1 << 64]),
        ("chunk_size", [0, 3, 1000, 4095, 5000, 1 << 31, -4096, 1 << 64]),
        ("max_participants", [0, 4097, -1, 1 << 64]),
        ("lock_timeout", [-1, -0.5, float("nan"), float("-inf")]),
        ("mode", [-1, 1 << 32, 600, 0, 0o400, 0o755, 0o4600]),
        ("codec", ["", "xml", "PICKLE"]),
        ("trust", ["", "all", [-1], [1 << 32]]),
    ],
)
def test_an_option_out_of_its_range_is_an_invalid_option(
    name: str, option: str, values: list[Any]
) -> None:
    for value in values:
        kind: type | None = None
        try:
            SharedDict(name=name, **{option: value})
        except Exception as error:
            kind = type(error)
            text = str(error)
        assert (value, kind) == (value, InvalidOptionError)
        assert option in text
        assert name not in shmtable.tables()


@pytest.mark.parametrize(
    "wrong",
    [
        {"capacity": "a"},
        {"capacity": 1.5},
        {"lock_timeout": "a"},
        {"codec": 5},
        {"trust": 5},
        {"trust": ["a"]},
        {"name": 5},
        {"name": b"a"},
        {"unknown": 1},
        {"allow_pickle": "yes"},
    ],
    ids=repr,
)
def test_an_option_of_another_type_is_a_type_error_that_names_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as caught:
        SharedDict(**{"capacity": 10, **wrong})
    if "name" not in wrong:
        assert next(iter(wrong)) in str(caught.value)


def test_any_timeout_from_zero_on_is_taken(new: NEW) -> None:
    for seconds in (0, 0.0, -0.0, 1e-9, 1e300, float("inf"), 10**30):
        assert new({"a": 1}, lock_timeout=seconds)["a"] == 1


CALLS: dict[str, Callable[..., object]] = {
    "SharedDict": SharedDict,
    "SharedDict.create": SharedDict.create,
    "SharedDict.load": SharedDict.load,
}


@pytest.mark.parametrize("call", CALLS)
def test_help_and_notebooks_show_every_option(call: str) -> None:
    shown = inspect.signature(CALLS[call]).parameters
    options = {option: shown[option] for option in TableOptions.__annotations__}
    assert list(options) == list(Settings._fields)
    for option in options.values():
        assert (option.kind, option.default) == (option.KEYWORD_ONLY, None)
    assert options["lock_timeout"].annotation == "float | None"
    assert "options" not in shown
    assert "chunk_size: 'int | None' = None" in pydoc.render_doc(CALLS[call])
    hints = typing.get_type_hints(TableOptions)
    assert typing.get_type_hints(Settings) == hints
    assert typing.get_type_hints(SharedDict.__init__).items() >= hints.items()


def test_the_other_parameters_are_shown_as_they_are() -> None:
    shown = {call: list(inspect.signature(CALLS[call]).parameters.values()) for call in CALLS}
    initial, name, *_ = shown["SharedDict"]
    assert (initial.name, initial.kind, initial.default) == ("initial", initial.POSITIONAL_ONLY, None)
    assert (name.name, name.kind, name.default) == ("name", name.KEYWORD_ONLY, None)
    name, replace, *_ = shown["SharedDict.create"]
    assert (name.kind, name.default) == (name.POSITIONAL_OR_KEYWORD, name.empty)
    assert (replace.kind, replace.default) == (replace.KEYWORD_ONLY, False)
    assert "class SharedDict" not in inspect.getsource(SharedDict.create)
    assert "def create(" in inspect.getsource(SharedDict.create)


@pytest.mark.parametrize("call", CALLS)
def test_an_option_that_there_is_not_is_refused_with_those_that_there_are(call: str) -> None:
    given = [] if call == "SharedDict" else ["name"]
    message = f"{call}.. got an unexpected keyword argument 'capcity'; its options are capacity, "
    with pytest.raises(TypeError, match=message):
        CALLS[call](*given, capcity=10)
