"""The tables of this machine: their names, and what they hold."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple

from shmtable import _leases
from shmtable._native import list_infos, list_names

if TYPE_CHECKING:
    from shmtable._errors import Error
    from shmtable._settings import Trust


def tables() -> list[str]:
    """Returns the names of all tables on this machine.

    >>> d = SharedDict()
    >>> d.name in tables()
    True
    """
    _leases.release_what_ended()
    return list_names()


class TableInfo(NamedTuple):
    """A table as `table_infos` found it.

    Use the names of the fields: later versions may add some.

    If the table couldn't be inspected, `error` says why, and what isn't known is `None`.
    """

    name: str
    """The table's name."""
    entries: int | None
    """The number of entries."""
    memory_bytes: int | None
    """The memory that it takes now, in bytes."""
    owner: int | None
    """The id of the user to whom it belongs."""
    created: datetime.datetime | None
    """When it was created, in UTC."""
    orphan: bool
    """Whether its creator was killed and no process uses it; `gc` removes those of your user."""
    error: Error | None
    """The exception that opening it would raise."""

    @property
    def age(self) -> datetime.timedelta | None:
        """The time since it was created."""
        if self.created is None:
            return None
        return datetime.datetime.now(datetime.timezone.utc) - self.created


def table_infos(*, trust: Trust | None = None) -> list[TableInfo]:
    """Returns a `TableInfo` for each table on this machine, sorted by their names.

    Tables of other users are opened only if `trust` names the users, as in `SharedDict.open`; of
    the others you get the name and the owner. Inspecting a table doesn't count as using it: it
    blocks no one and doesn't keep the table alive.

    >>> d = SharedDict({'a': 1})
    >>> [info.entries for info in table_infos() if info.name == d.name]
    [1]
    >>> total = sum(info.memory_bytes or 0 for info in table_infos())
    """
    _leases.release_what_ended()
    infos = [
        TableInfo(name, entries, memory_bytes, owner, _moment(created), orphan, error)
        for name, entries, memory_bytes, owner, created, orphan, error in list_infos(trust)
    ]
    return sorted(infos, key=lambda info: info.name)


def _moment(nanoseconds: int | None) -> datetime.datetime | None:
    if nanoseconds is None:
        return None
    return datetime.datetime.fromtimestamp(nanoseconds / 10**9, datetime.timezone.utc)
