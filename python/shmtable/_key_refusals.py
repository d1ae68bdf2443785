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
        return "nan is no key: it does not equal itself, so it could never be found again"
    if isinstance(key, datetime.datetime) and key.tzinfo is not None:
        return f"a key is a datetime that UTC has once, not {key!r}; {_recipe(key)}"
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
    """What to use in a refused key's place."""
    if isinstance(key, list):
        # What functools makes of a call's arguments.
        return "use a tuple; for a call's arguments, (args, tuple(sorted(kwargs.items())))"
    if isinstance(key, datetime.datetime) and key.tzinfo is not None:
        try:
            key.astimezone(datetime.timezone.utc)
        except OverflowError:
            return "it is in no year from 1 to 9999 there: use str(key)"
        return "use one of a zone that has it once, such as key.astimezone(datetime.timezone.utc)"
    if isinstance(key, datetime.time):
        return "use one without a zone, or one that stands for it, such as str(key)"
    if isinstance(key, enum.Enum):
        return "use its name or its value; an enum whose class has a place in a module is taken"
    if isinstance(key, type | types.FunctionType | types.BuiltinFunctionType):
        return "use its name, such as key.__qualname__"
    if dataclasses.is_dataclass(key):
        return "use its fields, such as dataclasses.astuple(key)"
    if type(key).__module__ == "numpy" and hasattr(key, "item"):
        return _recipe_of_numpy(key)
    return "use one of them that stands for it, such as str(key)"


def _recipe_of_numpy(key: Any) -> str:
    item = key.item()
    if type(item) is not type(key) and not (key.dtype.kind in "mM" and isinstance(item, int)):
        return "use a plain object that stands for it, such as key.item()"
    # Python has nothing as exact: no longer float, and no time of nanoseconds.
    kinds: list[tuple[type, str]] = [(numbers.Real, "float"), (numbers.Complex, "complex")]
    wanted = next((name for kind, name in kinds if isinstance(key, kind)), "str")
    return f"use a plain object that stands for it, such as {wanted}(key)"
