"""Tables that are made of a file which `save` or the command wrote."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from shmtable._errors import Error, InvalidOptionError
from shmtable._native import Dump

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from shmtable._dict import SharedDict
    from shmtable._settings import Settings

# The bits of a mode by which other users may write.
_OTHERS_WRITE = 0o022


def load(
    handle: SharedDict[Any, Any],
    path: str | os.PathLike[str],
    name: str | None,
    replace: bool,
    settings: Settings,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Opens a handle on a new table, which has a dump's entries."""
    dump = Dump(path)
    codec = dump.codec(settings)
    pickles = codec != "pickle" or _may_hold_pickles(dump, settings)
    # The whole file is read before there is a table: a damaged one replaces nothing.
    entries, size = dump.verify(pickles)
    option = "capacity" if settings.max_capacity is None else "max_capacity"
    most = getattr(settings, option)
    if isinstance(most, int) and most < entries:
        raise InvalidOptionError(
            f"the option {option} is {most}, and the dump holds {entries} entries; "
            "leave it out to get the capacity of the dumped table, or ask for more"
        )
    settings = _sized(settings, dump, entries, size)
    how = "open_or_create" if name is None else "create"
    handle._start("create_or_replace" if replace else how, name, settings._replace(codec=codec))
    try:
        handle._fill(dump, pickles, entries, progress)
    except BaseException:
        if name is not None:
            with contextlib.suppress(Error):
                handle._unlink()
        handle.close()
        raise


def _sized(settings: Settings, dump: Dump, entries: int, size: int) -> Settings:
    """Returns the settings with the sizes of the dumped table where none are asked for."""
    # A table may hold more than it was created for, if chance allows it.
    capacity, space = max(dump.capacity, entries), max(dump.value_space, size)
    most = settings.max_capacity
    if settings.capacity is None and most is None:
        if dump.by_default and (capacity, space) == (dump.capacity, dump.value_space):
            # Without sizes, less address space is reserved where it is short.
            return settings
        if dump.grows:
            settings = settings._replace(max_capacity=capacity)
        else:
            settings = settings._replace(capacity=capacity)
    # A table that may grow further gets the space for it.
    if settings.value_space is None and not (isinstance(most, int) and space <= 64 * most):
        settings = settings._replace(value_space=space)
    return settings


def _may_hold_pickles(dump: Dump, settings: Settings) -> bool:
    """Whether pickles of the dump may be stored: the rule for tables, for its file too."""
    if isinstance(settings.allow_pickle, bool):
        return settings.allow_pickle
    shared = isinstance(settings.mode, int) and settings.mode & _OTHERS_WRITE != 0
    return dump.private and not shared
