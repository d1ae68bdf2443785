"""Helpers for the tests of the mapping: a small table, errors, and how a call fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shmtable import SharedDict


class Small(SharedDict[Any, Any]):
    """Of a capacity that is made and removed quickly."""

    def __init__(self, initial: Any = None, /, **options: Any) -> None:
        super().__init__(initial, **{"capacity": 4096, **options})


class Refusal(Exception):
    pass


def refuse(*_: object) -> Any:
    raise Refusal


def outcome(call: Callable[[], object]) -> tuple[type | None, str]:
    """What a call raises."""
    try:
        call()
    except Exception as error:
        return type(error), str(error)
    return None, ""
