"""`SharedDict`: the mapping protocol, life and pickling, on top of the native handle."""

from __future__ import annotations

import sys
from collections.abc import (
    ItemsView,
    Iterable,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from typing import (
    TYPE_CHECKING,
    Any,
    TypeVar,
    cast,
    overload,
)

from shmtable import _leases, _showing
from shmtable._native import SharedDictBase, list_names, unlink_name
from shmtable._settings import Codec, Settings, Trust
from shmtable._views import _ItemsView, _KeysView, _ValuesView

# Annotations are there for those who read them while the program runs, too.
if TYPE_CHECKING:
    from typing_extensions import Self
elif sys.version_info >= (3, 11):
    from typing import Self
else:
    Self = TypeVar("Self")

K = TypeVar("K")
V = TypeVar("V")
K2 = TypeVar("K2")
V2 = TypeVar("V2")


class SharedDict(SharedDictBase[K, V], MutableMapping[K, V]):
    """A dict in shared memory, for all processes of a machine that know its name.

    >>> d = SharedDict({'a': 1})      # anonymous: pass it to other processes
    >>> d['b'] = [2, 'three', None]
    >>> d['a'], d['b'], len(d)
    (1, [2, 'three', None], 2)

    Without a name it is a new table that lives as long as its creator's handle: until
    `close`, or the end of the process. A handle that is passed to a process or a pool
    keeps its table; see Lifetime in the documentation. With a name, the table of that
    name is opened, or created; it lives until `unlink`. A table that is there keeps its
    sizes: if it was created with a smaller `capacity`, `value_space` or
    `max_participants` than you ask for, that is a `TooSmallError`.

    >>> with SharedDict(name='docs-example', capacity=1000) as d:
    ...     d['a'] = 1
    >>> SharedDict.open('docs-example')['a']
    1
    >>> SharedDict.unlink('docs-example')

    It behaves as a dict, but:

    - it holds copies: a change of a value that was read changes nothing until it is
      stored again;
    - it has no order;
    - keys are str, bytes, None, numbers, dates and times, UUIDs, paths, enum members,
      classes, and tuples and frozensets of these;
    - it has a fixed capacity; a full table is a `MemoryError`.

    Operations on one key are atomic among all processes; `d[key] += 1` is two. Use
    `add`, `update_value`, `compare_exchange`, `setdefault` or `get_or_compute`.

    Args:
        initial: a mapping, or pairs of keys and values, to begin with.
        name: 1 to 246 bytes without `/`, not beginning with a dot.
        capacity: the most entries there will ever be (1 048 576).
        value_space: the most bytes of all keys and values (64 for each entry, and at
            least 64 MiB).
        mode: the permission bits of the segment (0o600), in octal: 0o600, not 600.
        chunk_size: the unit in which memory is taken, in bytes (by the value space).
        max_participants: the most handles open for writing at a time (1024).
        lock_timeout: seconds to wait for a lock that a living process keeps (5).
        trust: whose tables are opened: "anyone", or a list of user ids besides this one.
        codec: what values are stored as: "pickle" (MessagePack, and pickles for
            what that cannot represent; the default), "msgpack", "json", or "raw" bytes.
            An opened table has the codec that it was created with.
        allow_pickle: whether to load and store pickles; by default, if no other user
            may write to the table.

    Memory is taken as the table fills, beside about 31 bytes for each entry of the
    capacity.
    """

    __slots__ = ("__weakref__", "_borrowed", "_lease", "_settings")

    _settings: Settings
    # The right to the name of an anonymous table: its creator's handle's, and another
    # handle's in the same process.
    _lease: _leases.Lease | None
    _borrowed: _leases.Lease | None

    def __init__(
        self,
        initial: Mapping[K, V] | Iterable[tuple[K, V]] | None = None,
        /,
        *,
        name: str | None = None,
        capacity: int | None = None,
        value_space: int | None = None,
        mode: int | None = None,
        chunk_size: int | None = None,
        max_participants: int | None = None,
        lock_timeout: float | None = None,
        trust: Trust | None = None,
        codec: Codec | None = None,
        allow_pickle: bool | None = None,
    ) -> None:
        if isinstance(initial, (str, int)):
            what, keyword = ("name", "name") if isinstance(initial, str) else ("size", "capacity")
            kind = type(self).__name__
            raise TypeError(
                f"{kind}({initial!r}): the first argument is a mapping or pairs to begin with; "
                f"to {what} the table, write {kind}({keyword}={initial!r})"
            )
        settings = Settings(
            capacity,
            value_space,
            mode,
            chunk_size,
            max_participants,
            lock_timeout,
            trust,
            codec,
            allow_pickle,
        )
        self._start("open_or_create", name, settings)
        if initial is not None:
            self.set_many(initial)

    def _start(self, how: str, name: str | None, settings: Settings) -> Self:
        if name is None and how != "open_or_create":
            kind = type(self).__name__
            raise TypeError(
                f"the name is None, and must be a str; for a new table without a name, write {kind}()"
            )
        # First what nobody wants any more: its memory may be what is missing.
        _leases.release_what_ended()
        self._open(how, name, settings)
        self._settings = settings
        self._lease = _leases.Lease(self.name) if name is None else None
        self._borrowed = None
        return self

    def _start_later(self, how: str, name: str, settings: Settings) -> Self:
        """Leaves it to the first use to open the table, and to raise what goes wrong."""
        self._open_later(how, name, settings)
        self._settings = settings
        self._lease = None
        self._borrowed = _leases.known(name)
        return self

    @classmethod
    def create(
        cls,
        name: str,
        *,
        replace: bool = False,
        capacity: int | None = None,
        value_space: int | None = None,
        mode: int | None = None,
        chunk_size: int | None = None,
        max_participants: int | None = None,
        lock_timeout: float | None = None,
        trust: Trust | None = None,
        codec: Codec | None = None,
        allow_pickle: bool | None = None,
    ) -> Self:
        """Creates the table `name`; if there is one, that is a `FileExistsError`.

        With `replace=True` the new table takes the place of the one of this name, if
        there is one, in one step: whoever opens the name gets the one or the other.
        Handles of the old table go on using it, among themselves, but a pickle of one
        leads to the new table, because a handle pickles as its name. A table of a user whom
        `trust` does not name is not replaced. The other options are those of
        `SharedDict`.

        >>> with SharedDict.create('docs-fresh', capacity=100) as old:
        ...     old['a'] = 1
        >>> with SharedDict.create('docs-fresh', capacity=5000, replace=True) as new:
        ...     new.copy(), new.capacity
        ({}, 5000)
        >>> SharedDict.unlink('docs-fresh')
        """
        settings = Settings(
            capacity,
            value_space,
            mode,
            chunk_size,
            max_participants,
            lock_timeout,
            trust,
            codec,
            allow_pickle,
        )
        return cls.__new__(cls)._start("create_or_replace" if replace else "create", name, settings)

    @classmethod
    def open(
        cls,
        name: str,
        *,
        read_only: bool = False,
        lock_timeout: float | None = None,
        trust: Trust | None = None,
        codec: Codec | None = None,
        allow_pickle: bool | None = None,
    ) -> Self:
        """Opens the table `name`; if there is none, that is a `FileNotFoundError`.

        A read-only handle needs no more than permission to read, and cannot change
        anything. A `codec` that is not the table's is an error, but "raw" looks at
        the bytes of any table. The other options are those of `SharedDict`.
        """
        how = "open_read_only" if read_only else "open"
        settings = Settings(
            lock_timeout=lock_timeout, trust=trust, codec=codec, allow_pickle=allow_pickle
        )
        return cls.__new__(cls)._start(how, name, settings)

    def unlink(self: SharedDict[Any, Any] | str) -> None:
        """Removes a table's name: `SharedDict.unlink(name)`, or `d.unlink()`.

        Processes that have the table open can go on using it; its memory is freed when the
        last of them closes it. The method of a handle removes the name of its own table: it
        is a `NotFoundError` if another table has the name, after `create(replace=True)`
        say, and a `ReadOnlyError` on a read-only handle.
        """
        if isinstance(self, SharedDict):
            self._check_open()
            name = self.name
            self._unlink()
        else:
            name = self
            unlink_name(name)
        _leases.forget(name)

    def close(self) -> None:
        """Closes this handle; closing twice is fine.

        An anonymous table is removed if this is its creator's handle. Processes that
        have opened it go on using it; those that have not, but were given a handle, get
        a `NotFoundError` when they use it.
        """
        if not self.closed:
            if self._lease is not None:
                self._lease.end()
            self._lease = self._borrowed = None
            self._close()
            _leases.release_what_ended()

    def _check_open(self) -> None:
        """Raises if the handle is closed, though its name is known."""
        if self.closed:
            _ = self.capacity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What is pickled is the name: whoever unpickles it opens the table when it is used.

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_open()
        name = self.name
        lease = self._lease or self._borrowed
        if lease is not None:
            lease.hand_out(self)
        how = "open_read_only" if self.read_only else "open"
        settings = self._settings
        if self._opened:
            settings = settings._replace(codec=self.codec)
        return _reopen, (type(self), how, name, tuple(settings))

    def __copy__(self) -> dict[K, V]:
        return self.copy()

    def __deepcopy__(self, _: object) -> dict[K, V]:
        return self.copy()

    # A mapping.

    def update(self, entries: Any = (), /, **more: Any) -> None:
        """Stores many values: from a mapping, pairs, or keywords; see `set_many`."""
        self.set_many(entries)
        if more:
            self.set_many(cast("dict[K, V]", more))

    def keys(self) -> KeysView[K]:
        """A view of the keys."""
        return _KeysView(self)

    def values(self) -> ValuesView[V]:
        """A view of the values."""
        return _ValuesView(self)

    def items(self) -> ItemsView[K, V]:
        """A view of the keys with their values."""
        return _ItemsView(self)

    @classmethod
    def fromkeys(
        cls, keys: Iterable[K], value: Any = None, /, **options: Any
    ) -> SharedDict[K, Any]:
        """A new table in which each of the keys has the same value.

        >>> SharedDict.fromkeys(['a'], 0).copy()
        {'a': 0}
        """
        return cls(((key, value) for key in keys), **options)

    @overload
    def __or__(self, other: Mapping[K, V]) -> dict[K, V]: ...
    @overload
    def __or__(self, other: Mapping[K2, V2]) -> dict[K | K2, V | V2]: ...
    def __or__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() | _plain(other)

    @overload
    def __ror__(self, other: Mapping[K, V]) -> dict[K, V]: ...
    @overload
    def __ror__(self, other: Mapping[K2, V2]) -> dict[K | K2, V | V2]: ...
    def __ror__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return _plain(other) | self.copy()

    def __ior__(  # type: ignore[misc]  # as dict: `|` gives a plain one
        self, other: Mapping[K, V] | Iterable[tuple[K, V]]
    ) -> Self:
        self.set_many(other)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() == _plain(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return _showing.text(self)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Shows the table in IPython: on as many lines as it needs."""
        _showing.pretty(self, printer)

    def _ipython_key_completions_(self) -> list[K]:
        """Returns keys for IPython to offer after `d[`."""
        return _showing.offered_keys(self)


def _plain(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """A dict of a mapping's entries, which may go while they are copied."""
    return mapping.copy() if isinstance(mapping, SharedDict) else dict(mapping)


def _reopen(
    cls: type[SharedDict[Any, Any]], how: str, name: str, settings: tuple[Any, ...]
) -> SharedDict[Any, Any]:
    return cls.__new__(cls)._start_later(how, name, Settings(*settings))


def tables() -> list[str]:
    """The names of all tables on this machine.

    >>> d = SharedDict()
    >>> d.name in tables()
    True
    """
    _leases.release_what_ended()
    return list_names()
