"""`SharedDict`: opening, pickling and the mapping protocol, on top of the native handle."""

from __future__ import annotations

import copyreg
import os
import sys
from collections.abc import (
    Callable,
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

from shmtable import _dumps, _leases, _showing
from shmtable._native import SharedDictBase, unlink_name
from shmtable._settings import Codec, Settings, TableOptions, Trust, settings_of, spell_out
from shmtable._views import _ItemsView, _KeysView, _ValuesView

# Tools that read annotations while the program runs need `Self`, too.
if TYPE_CHECKING:
    from typing_extensions import Self, Unpack
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

    Without a name, this creates a new table that lives as long as its creator's handle:
    until `close`, or until the process ends. A handle that is passed to a process or a
    pool keeps its table; see Lifetime in the documentation. With a name, it opens the
    table with that name, or creates it; the table lives until `unlink`. An existing table
    keeps its sizes: if it was created with a smaller `capacity`, `max_capacity`,
    `value_space` or `max_participants` than you ask for, a `TooSmallError` is raised.

    >>> with SharedDict(name='docs-example', capacity=1000) as d:
    ...     d['a'] = 1
    >>> SharedDict.open('docs-example')['a']
    1
    >>> SharedDict.unlink('docs-example')

    It behaves like a dict, except that:

    - it holds copies: if you change a value that you read, store it again;
    - it has no order;
    - keys are str, bytes, None, numbers, dates and times, UUIDs, paths, enum members,
      classes, and tuples and frozensets of these;
    - it can be full: when the machine has no shared memory left, or at a bound that you
      set. Then it raises a `MemoryError`.

    Each operation on one key is atomic among all processes, but `d[key] += 1` is two
    operations. Use `add`, `update_value`, `compare_exchange`, `setdefault` or
    `get_or_compute` instead.

    Args:
        initial: a mapping, or pairs of keys and values, to store first.
        name: 1 to 246 bytes without `/`, not beginning with a dot.
        capacity: the number of entries that have their place from the beginning (none: the
            table grows). Without `max_capacity`, it doesn't grow beyond that; more entries
            may fit.
        max_capacity: the number of entries that the table may grow to (2³² without a
            `capacity`).
        max_bytes: the number of bytes of memory that the table may take, index and values
            together (none: as many as the machine has).
        value_space: the number of bytes of keys and values that are sure to fit (15 GiB
            without a capacity; otherwise 64 for each entry, and at least 64 MiB).
        mode: the permission bits of the segment (0o600), in octal: 0o600, not 600.
        chunk_size: the unit in which memory is taken, in bytes (depends on the value
            space).
        max_participants: the maximum number of processes that have the table open for
            writing at once (1024).
        lock_timeout: seconds that a write waits for another one that does not end, because
            its process was stopped, for example (5). Has nothing to do with `lock`.
        trust: the users whose tables may be opened, besides your own: "anyone", or a list
            of user ids.
        codec: how values are stored: "pickle" (MessagePack, and pickles for what it
            cannot represent; the default), "msgpack", "json", or "raw" bytes. An opened
            table has the codec that it was created with.
        allow_pickle: whether to load and store pickles; by default, only if no other
            user may write to the table.

    You need no size: an empty table takes less than a megabyte, and grows with its entries.
    With a `capacity`, about 31 bytes for each entry of it are taken at once.
    """

    __slots__ = ("__weakref__", "_borrowed", "_lease", "_reduced", "_settings")

    # `Settings`, or a plain tuple of them.
    _settings: tuple[Any, ...]
    # What the handle pickles as, once that can't change any more.
    _reduced: tuple[Any, ...] | None
    # The lease on an anonymous table's name: of its creator's handle, and of another
    # handle in the same process.
    _lease: _leases.Lease | None
    _borrowed: _leases.Lease | None

    def __init__(
        self,
        initial: Mapping[K, V] | Iterable[tuple[K, V]] | None = None,
        /,
        *,
        name: str | None = None,
        **options: Unpack[TableOptions],
    ) -> None:
        if isinstance(initial, (str, int)):
            what, keyword = ("name", "name") if isinstance(initial, str) else ("size", "capacity")
            kind = type(self).__name__
            raise TypeError(
                f"{kind}({initial!r}): the first argument is a mapping or pairs to begin with; "
                f"to {what} the table, write {kind}({keyword}={initial!r})"
            )
        settings = settings_of(type(self).__name__, options)
        self._start("open_or_create", name, settings)
        if initial is not None:
            self.set_many(initial)

    def _start(self, how: str, name: str | None, settings: Settings) -> Self:
        if name is None and how != "open_or_create":
            kind = type(self).__name__
            raise TypeError(
                f"the name is None, and must be a str; for a new table without a name, write {kind}()"
            )
        # First release what no one needs any more: its memory may be what is missing.
        _leases.release_what_ended()
        self._open(how, name, settings)
        self._settings = settings
        self._lease = _leases.Lease(self.name) if name is None else None
        self._borrowed = self._reduced = None
        return self

    @classmethod
    def create(
        cls,
        name: str,
        *,
        replace: bool = False,
        **options: Unpack[TableOptions],
    ) -> Self:
        """Creates the table `name`; if there is one already, raises `FileExistsError`.

        With `replace=True`, the new table replaces an existing one in one step: a process
        that opens the name gets either the old table or the new one. Handles of the old
        table still share it, but a pickle of such a handle leads to the new table, because
        a handle pickles as its name. The table of a user whom `trust` does not name is not
        replaced. The other options are those of `SharedDict`.

        >>> with SharedDict.create('docs-fresh', capacity=100) as old:
        ...     old['a'] = 1
        >>> with SharedDict.create('docs-fresh', capacity=5000, replace=True) as new:
        ...     new.copy(), new.capacity
        ({}, 5000)
        >>> SharedDict.unlink('docs-fresh')
        """
        settings = settings_of(f"{cls.__name__}.create", options)
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
        """Opens the table `name`; if there is none, raises `FileNotFoundError`.

        A read-only handle needs only permission to read, and cannot change anything. A
        `codec` that is not the table's is an error, except "raw", which gives the bytes of
        any table. The other options are those of `SharedDict`.
        """
        how = "open_read_only" if read_only else "open"
        settings = Settings(
            lock_timeout=lock_timeout, trust=trust, codec=codec, allow_pickle=allow_pickle
        )
        return cls.__new__(cls)._start(how, name, settings)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        replace: bool = False,
        progress: Callable[[int, int], object] | None = None,
        **options: Unpack[TableOptions],
    ) -> Self:
        """Creates a table with the entries of a file that `save` or `shmtable dump` wrote.

        Without a name, the table is anonymous. A name that a table has already raises
        `FileExistsError`; with `replace=True`, the new table replaces that one, as in `create`.
        The sizes and the `codec` are those of the saved table. You may ask for other sizes, or
        for `codec="raw"` to get the stored bytes; any other codec must be the file's.

        The file must be one that can be read twice, in the format of `save` or
        `shmtable dump --format binary`. It is checked as a whole before the table is created: if
        it is damaged or cut, `DamagedDumpError` names the place, and no table is created or
        replaced. If anything else goes wrong, the new table is removed again. Until the call
        returns, other processes that open the name see some of the entries.

        A pickle in a file can run any code when it is loaded from the table. If another user may
        write to the file, or to the new table, a file with pickles raises `PickleRefusedError`,
        unless you pass `allow_pickle=True`. So does any file with `allow_pickle=False`.

        `progress` is called now and then with the number of entries that are stored and of all.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, 'results.dump')
        ...     SharedDict({'a': 1}, capacity=1000).save(path)
        ...     d = SharedDict.load(path, capacity=5000)
        1
        >>> d['a'], d.capacity
        (1, 5000)
        """
        settings = settings_of(f"{cls.__name__}.load", options)
        handle = cls.__new__(cls)
        _dumps.load(handle, path, name, replace, settings, progress)
        return handle

    def unlink(self: SharedDict[Any, Any] | str) -> None:
        """Removes a table's name: `SharedDict.unlink(name)`, or `d.unlink()`.

        Processes that have the table open can still use it; its memory is freed when the
        last of them closes it. Called on a handle, it removes only the name of the handle's
        own table: if another table has the name, after `create(replace=True)` for example,
        it raises `NotFoundError`. On a read-only handle it raises `ReadOnlyError`.
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
        """Closes this handle; closing it again does nothing.

        If this is the creator's handle of an anonymous table, the table is removed.
        Processes that have opened it can still use it; processes that were given a handle
        and have not used it yet get a `NotFoundError` at the first use.
        """
        if not self.closed:
            if self._lease is not None:
                self._lease.end()
            self._lease = self._borrowed = self._reduced = None
            self._close()
            _leases.release_what_ended()

    def _check_open(self) -> None:
        """Raises `ClosedError` if the handle is closed."""
        if self.closed:
            _ = self.capacity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # A handle pickles as its name; the first use of the unpickled one opens the table.

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            reduced = self._reduced or self._reduce()
        except AttributeError:
            # A subclass did not call `__init__`.
            self._check_open()
            raise
        lease = self._lease or self._borrowed
        if lease is not None:
            lease.hand_out(self)
        return reduced

    def _reduce(self) -> tuple[Any, ...]:
        opened = self._opened
        how = "open_read_only" if self.read_only else "open"
        settings = self._settings
        if opened:
            settings = tuple(Settings(*settings)._replace(codec=self.codec))
        # Of the forms that a pickle can have, this one is written and read the fastest.
        reduced = copyreg.__newobj__, (type(self),), (how, self.name, settings)  # type: ignore[attr-defined]
        if opened:
            self._reduced = reduced
        # Last: another thread may have closed the handle meanwhile.
        if self.closed:
            self._reduced = None
            self._check_open()
        return reduced

    def __setstate__(self, state: tuple[str, str, tuple[Any, ...]]) -> None:
        """Keeps what the first use needs to open the table; it raises any error then."""
        how, name, settings = state
        self._open_later(how, name, settings)
        self._settings = settings
        self._lease = self._reduced = None
        self._borrowed = _leases.known.get(name)

    def __copy__(self) -> dict[K, V]:
        return self.copy()

    def __deepcopy__(self, _: object) -> dict[K, V]:
        return self.copy()

    # A mapping.

    def update(self, entries: Any = (), /, **more: Any) -> None:
        """Stores many values, from a mapping, pairs, or keywords, as `set_many` does."""
        self.set_many(entries)
        if more:
            self.set_many(cast("dict[K, V]", more))

    def keys(self) -> KeysView[K]:
        """Returns a view of the keys."""
        return _KeysView(self)

    def values(self) -> ValuesView[V]:
        """Returns a view of the values."""
        return _ValuesView(self)

    def items(self) -> ItemsView[K, V]:
        """Returns a view of the entries, as pairs of key and value."""
        return _ItemsView(self)

    @classmethod
    def fromkeys(
        cls, keys: Iterable[K], value: Any = None, /, **options: Any
    ) -> SharedDict[K, Any]:
        """Creates a table in which each of the keys has the same value.

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


# Not as a decorator, in which type checkers lose the names of the parameters.
spell_out(SharedDict.__init__)
spell_out(SharedDict.create)
spell_out(SharedDict.load)


def _plain(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """Returns a plain dict of a mapping's entries, even if some go while they are copied."""
    return mapping.copy() if isinstance(mapping, SharedDict) else dict(mapping)
