"""Does the error of an argument of the wrong kind say which it is, and what it takes?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shmtable import InvalidOptionError, SharedDict, WaitTimeoutError

NEW = Callable[..., SharedDict[Any, Any]]


@pytest.mark.parametrize(
    ("option", "given", "takes"),
    [
        ("allow_pickle", "yes", "True or False"),
        ("codec", 5, "the name of a codec"),
        ("lock_timeout", "soon", "a number of seconds"),
        ("capacity", "many", "a whole number"),
        ("trust", 5, '"anyone" or a list of user ids'),
    ],
)
def test_an_option_of_the_wrong_type_is_named(option: str, given: Any, takes: str) -> None:
    with pytest.raises(TypeError, match=f"^the option {option} is {given!r}, and takes {takes}"):
        SharedDict(**{option: given})


@pytest.mark.parametrize("option", ["capacity", "max_capacity", "value_space", "chunk_size", "max_participants"])
def test_numbers_beyond_the_machines_are_refused_as_those_within(option: str) -> None:
    messages = set()
    for given in (-1, 1 << 62, 1 << 70):
        with pytest.raises(InvalidOptionError, match=f"the option {option} is {given}") as raised:
            SharedDict(**{option: given})  # type: ignore[arg-type]
        messages.add(str(raised.value).replace(f" {given},", " N,"))
    assert len(messages) == 1


def test_modes_beyond_the_machines_are_refused_as_those_within() -> None:
    allowed = "allowed is 0o600 with any of 0o040, 0o020, 0o004 and 0o002 added, such as 0o660"
    for mode in (-1, 0o700, 1 << 40):
        with pytest.raises(InvalidOptionError, match=allowed):
            SharedDict(capacity=10, mode=mode)


NAMED: dict[str, Callable[[Any], object]] = {
    "SharedDict": lambda name: SharedDict(name=name),
    "create": SharedDict.create,
    "open": SharedDict.open,
    "unlink": SharedDict.unlink,
}


@pytest.mark.parametrize("call", NAMED.values(), ids=NAMED)
def test_a_name_of_the_wrong_type_is_said_to_be_the_name(call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="^the name of a table is a str, not 5$"):
        call(5)


def test_a_method_without_its_arguments_is_called_by_its_public_name(new: NEW) -> None:
    with pytest.raises(TypeError, match=r"^SharedDict\.add\(\) missing 1 required"):
        new().add()  # type: ignore[call-overload]


def test_the_error_of_a_wait_shows_the_beginning_of_a_long_key(new: NEW) -> None:
    d = new()
    for key in ("x" * 10_000, "\N{SNOWMAN}" * 10_000, ("y" * 200,)):
        with pytest.raises(WaitTimeoutError, match=r"\.\.\., and it has no value yet") as raised:
            d.wait(key, timeout=0)
        assert len(str(raised.value)) < 200
