"""Why an object cannot be a key, and what to use instead: the messages."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import numbers
import types
from typing import Any


def name_of(kind: type) -> str:
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return module + kind.__qualname__


def refusal(key: Any) -> str:
    if _is_nan(key):
        return "nan cannot be a key: it does not equal itself, so it could never be found again"
    if isinstance(key, datetime.datetime) and key.tzinfo is not None:
        return (
            f"a datetime must have exactly one equivalent in UTC to be a key, not {key!r}; "
            f"{_recipe(key)}"
        )
    return (
        "a key is a str, bytes, int, float, bool, None, or of another type that the "
        "documentation names, or a tuple or frozenset of these, "
        f"not {_with_article(name_of(type(key)))}; {_recipe(key)}"
    )


def _with_article(name: str) -> str:
    return f"an {name}" if name[0] in "aeioAEIO" else f"a {name}"


def _is_nan(key: Any) -> bool:
    try:
        return bool(key != key)
    except Exception:
        return False


def _recipe(key: Any) -> str:
    """Returns what to use in place of a refused key."""
    if isinstance(key, list):
        # As functools does with a call's arguments.
        return "use a tuple; for a call's arguments, (args, tuple(sorted(kwargs.items())))"
    if isinstance(key, datetime.datetime) and key.tzinfo is not None:
        try:
            key.astimezone(datetime.timezone.utc)
        except OverflowError:
            return "its year in UTC is not one from 1 to 9999: use str(key)"
        return "use a time zone in which it has one, such as key.astimezone(datetime.timezone.utc)"
    if isinstance(key, datetime.time):
        return "use one without a time zone, or another key in its place, such as str(key)"
    if isinstance(key, enum.Enum):
        return "use its name or its value; members of enums that a module has by name can be keys"
    if isinstance(key, type | types.FunctionType | types.BuiltinFunctionType):
        return "use its name, such as key.__qualname__"
    if dataclasses.is_dataclass(key):
        return "use its fields, such as dataclasses.astuple(key)"
    if type(key).__module__ == "numpy" and hasattr(key, "item"):
        return _recipe_of_numpy(key)
    return "use one of these in its place, such as str(key)"


def _recipe_of_numpy(key: Any) -> str:
    item = key.item()
    if type(item) is not type(key) and not (key.dtype.kind in "mM" and isinstance(item, int)):
        return "use a plain object in its place, such as key.item()"
    # Python has nothing as exact: its floats have 64 bits, and its times microseconds.
    kinds: list[tuple[type, str]] = [(numbers.Real, "float"), (numbers.Complex, "complex")]
    wanted = next((name for kind, name in kinds if isinstance(key, kind)), "str")
    return f"use a plain object in its place, such as {wanted}(key)"
