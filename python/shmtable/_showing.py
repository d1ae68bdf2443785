"""Shows a table: its `repr`, and the hooks of IPython."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from shmtable._errors import CodecError, Error, PickleRefusedError
from shmtable._missing import MISSING
from shmtable._native import SharedDictBase

if TYPE_CHECKING:
    from shmtable._dict import SharedDict

# The number of entries that `repr` shows, of keys that IPython offers, and the tables that
# a thread is showing.
_SHOWN = 20
_OFFERED = 1000
_showing = threading.local()

# Errors of the package that concern only the key that is loaded.
_OF_ONE_KEY = (CodecError, PickleRefusedError)


def text(table: SharedDict[Any, Any]) -> str:
    """Returns the `repr` of a table: its first entries, and its name."""
    kind = type(table).__name__
    if table.closed:
        return f"<closed {kind}>" if table._opened else f"<{kind} that was never opened>"
    name = table.name
    with _first_showing(name) as first:
        if not first:
            return f"{kind}({{...}}, name={name!r})"
        try:
            entries = _entries(table)
        except Error as error:
            # The first use of a handle, whose table cannot be opened.
            if table._opened:
                raise
            return f"<{kind} that cannot be opened, name={name!r}: {type(error).__name__}>"
        shown = [f"{key!r}: {value!r}" for key, value in entries[:_SHOWN]]
    shown += ["..."] * (len(entries) > _SHOWN)
    return f"{kind}({{{', '.join(shown)}}}, name={name!r})"


def pretty(table: SharedDict[Any, Any], printer: Any) -> None:
    """Prints the table in IPython, on as many lines as it needs."""
    name = None if table.closed else table.name
    with _first_showing(name) as first:
        try:
            entries = _entries(table) if first and name else None
        except Error:
            entries = None
        if entries is None:
            printer.text(repr(table))
            return
        begin = f"{type(table).__name__}({{"
        with printer.group(len(begin), begin, f"}}, name={name!r})"):
            for number, (key, value) in enumerate(entries):
                if number:
                    printer.text(",")
                    printer.breakable()
                if number == _SHOWN:
                    printer.text("...")
                    break
                printer.pretty(key)
                printer.text(": ")
                printer.pretty(value)


def offered_keys(table: SharedDict[Any, Any]) -> list[Any]:
    """Returns keys for IPython to offer after `d[`."""
    loaded = (key for key in _keys(table) if not isinstance(key, _Placeholder))
    return list(islice(loaded, _OFFERED))


def _entries(table: SharedDict[Any, Any]) -> list[tuple[object, object]]:
    """Returns the entries to show, and one more if there are more."""
    entries: list[tuple[object, object]] = []
    for key in _keys(table):
        value: object
        try:
            if isinstance(key, _Placeholder):
                value = _Placeholder("...")
            else:
                value = SharedDictBase.get(table, key, MISSING)
        except Exception as error:
            value = _Placeholder(f"<{type(error).__name__}>")
        if value is not MISSING:
            entries.append((key, value))
        if len(entries) > _SHOWN:
            break
    return entries


def _keys(table: SharedDict[Any, Any]) -> Iterator[Any]:
    """Yields the keys, with a placeholder for each that cannot be loaded."""
    keys = iter(table)
    while True:
        try:
            key: Any = next(keys)
        except StopIteration:
            return
        except Exception as error:
            # Other errors of the package concern the whole table.
            if isinstance(error, Error) and not isinstance(error, _OF_ONE_KEY):
                raise
            key = _Placeholder(f"<{type(error).__name__}>")
        yield key


class _Placeholder:
    """Stands for a key or a value that cannot be loaded, where a table is shown."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


@contextlib.contextmanager
def _first_showing(name: str | None) -> Iterator[bool]:
    """Whether this thread is not showing the table already.

    A table that contains itself gives another handle each time it is read.
    """
    names: set[str | None] = _showing.__dict__.setdefault("names", set())
    if name in names:
        yield False
        return
    names.add(name)
    try:
        yield True
    finally:
        names.remove(name)
