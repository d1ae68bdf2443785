"""Orphans: anonymous tables that no process uses any more."""

from __future__ import annotations

from shmtable._native import list_orphans, remove_orphans


def orphans() -> dict[str, int]:
    """Returns the anonymous tables that no process uses any more, with their sizes in bytes.

    A creator that is killed leaves its table behind. `gc` removes such tables, and each new
    anonymous table removes some of them.

    >>> d = SharedDict()
    >>> d.name in orphans()
    False
    """
    return dict(list_orphans())


def gc() -> list[str]:
    """Removes the `orphans` that no process has open, and returns their names.

    A table that any process has open is kept, and so are the tables of other users and
    tables that were created with a name.

    >>> removed = gc()
    >>> all(name not in tables() for name in removed)
    True
    """
    return [name for name, _ in remove_orphans()]
