"""`SharedDict`: the mapping protocol, life and pickling, on top of the native handle."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from itertools import islice

# Its finalizers run when an object goes, at exit after the children were joined, in
# the process that made them alone, and in children of multiprocessing too.
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast, overload

from shmtable._native import SharedDictBase, list_names, unlink_name

if TYPE_CHECKING:
    from typing_extensions import Self

    _Codec = Literal["pickle", "msgpack", "json", "raw"]
    _Trust = Literal["anyone"] | list[int]

K = TypeVar("K")
V = TypeVar("V")
K2 = TypeVar("K2")
V2 = TypeVar("V2")

# Entries that `repr` shows, and the tables that a thread is showing.
_SHOWN = 20
_showing = threading.local()


class _Settings(NamedTuple):
    """What the native half opens a table with; `None` is the default."""

    capacity: int | None = None
    value_space: int | None = None
    mode: int | None = None
    chunk_size: int | None = None
    max_participants: int | None = None
    lock_timeout: float | None = None
    trust: _Trust | None = None
    codec: _Codec | None = None
    allow_pickle: bool | None = None


# The anonymous tables of this process that were pickled, by name: whoever will
# unpickle them must find them, so they live until they are closed or this process
# ends, however soon their handles are forgotten.
_handed_out: dict[str, SharedDict[Any, Any]] = {}


def _remove(name: str) -> None:
    """Removes an anonymous table, unless somebody did."""
    _handed_out.pop(name, None)
    with contextlib.suppress(OSError):
        unlink_name(name)


class SharedDict(SharedDictBase[K, V], MutableMapping[K, V]):
    """A dict in shared memory, for all processes of a machine that know its name.

    >>> d = SharedDict({'a': 1})      # anonymous: pass it to other processes
    >>> d['b'] = [2, 'three', None]
    >>> d['a'], d['b'], len(d)
    (1, [2, 'three', None], 2)

    Without a name it is a new table that lives as long as this process, or until
    `close`. With one, the table of that name is opened, or created; it lives until
    `unlink`.

    >>> with SharedDict(name='docs-example', capacity=1000) as d:
    ...     d['a'] = 1
    >>> SharedDict.open('docs-example')['a']
    1
    >>> SharedDict.unlink('docs-example')

    It behaves as a dict, but:

    - it holds copies: a change of a value that was read changes nothing until it is
      stored again;
    - it has no order;
    - keys are str, bytes, int, float, bool, None and tuples of these;
    - it has a fixed capacity; a full table is a `MemoryError`.

    Operations on one key are atomic among all processes; `d[key] += 1` is two. Use
    `add`, `update_value`, `compare_exchange`, `setdefault` or `get_or_compute`.

    Args:
        initial: a mapping, or pairs of keys and values, to begin with.
        name: 1 to 246 bytes without `/`, not beginning with a dot.
        capacity: the most entries there will ever be (1 048 576).
        value_space: the most bytes of all keys and values (64 for each entry).
        mode: the permission bits of the segment (0o600).
        chunk_size: the unit in which memory is taken, in bytes (up to 1 MiB).
        max_participants: the most handles open for writing at a time (128).
        lock_timeout: seconds to wait for a lock that a living process keeps (5).
        trust: whose tables are opened: "anyone", or a list of user ids besides this one.
        codec: what values are stored as: "pickle" (MessagePack, and pickles for
            what that cannot say; the default), "msgpack", "json", or "raw" bytes.
            An opened table has the codec that it was created with.
        allow_pickle: whether to load and store pickles; by default, if no other user
            may write to the table.

    Memory is taken as the table fills, beside about 31 bytes for each entry of the
    capacity.
    """

    __slots__ = ("__weakref__", "_finalizer", "_settings")

    _settings: _Settings
    _finalizer: Finalize | None

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
        trust: _Trust | None = None,
        codec: _Codec | None = None,
        allow_pickle: bool | None = None,
    ) -> None:
        settings = _Settings(
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

    def _start(self, how: str, name: str | None, settings: _Settings) -> Self:
        self._open(how, name, settings)
        self._settings = settings
        self._finalizer = None
        if name is None:
            self._finalizer = Finalize(self, _remove, args=(self.name,), exitpriority=-100)
        return self

    @classmethod
    def create(
        cls,
        name: str,
        *,
        capacity: int | None = None,
        value_space: int | None = None,
        mode: int | None = None,
        chunk_size: int | None = None,
        max_participants: int | None = None,
        lock_timeout: float | None = None,
        codec: _Codec | None = None,
        allow_pickle: bool | None = None,
    ) -> Self:
        """Creates the table `name`; if there is one, that is a `FileExistsError`.

        The options are those of `SharedDict`.
        """
        settings = _Settings(
            capacity,
            value_space,
            mode,
            chunk_size,
            max_participants,
            lock_timeout,
            None,
            codec,
            allow_pickle,
        )
        return cls.__new__(cls)._start("create", name, settings)

    @classmethod
    def open(
        cls,
        name: str,
        *,
        read_only: bool = False,
        lock_timeout: float | None = None,
        trust: _Trust | None = None,
        codec: _Codec | None = None,
        allow_pickle: bool | None = None,
    ) -> Self:
        """Opens the table `name`; if there is none, that is a `FileNotFoundError`.

        A read-only handle needs no more than permission to read, and cannot change
        anything. A `codec` that is not the table's is an error, but "raw" looks at
        the bytes of any table. The other options are those of `SharedDict`.
        """
        how = "open_read_only" if read_only else "open"
        settings = _Settings(
            lock_timeout=lock_timeout, trust=trust, codec=codec, allow_pickle=allow_pickle
        )
        return cls.__new__(cls)._start(how, name, settings)

    def unlink(self: SharedDict[Any, Any] | str) -> None:
        """Removes a table's name: `SharedDict.unlink(name)`, or `d.unlink()`.

        Whoever has it open goes on using it; its memory is freed with the last of them.
        """
        name = self if isinstance(self, str) else self.name
        unlink_name(name)
        _handed_out.pop(name, None)

    def close(self) -> None:
        """Closes this handle; closing twice is fine.

        An anonymous table is removed if this is its creator's handle. Processes that
        have opened it go on using it.
        """
        if not self.closed:
            if self._finalizer is not None:
                self._finalizer()
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What is pickled is the name: whoever unpickles it opens the table.

    def __reduce__(self) -> tuple[Any, ...]:
        name = self.name
        if self._finalizer is not None and self._finalizer.still_active():
            _handed_out[name] = self
        how = "open_read_only" if self.read_only else "open"
        settings = self._settings._replace(codec=self.codec)
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
        return _Keys(self)

    def values(self) -> ValuesView[V]:
        """A view of the values."""
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        """A view of the keys with their values."""
        return _Items(self)

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
        kind = type(self).__name__
        if self.closed:
            return f"<closed {kind}>"
        name = self.name
        # One that holds itself gives another handle each time it is read.
        showing: set[str] = _showing.__dict__.setdefault("names", set())
        if name in showing:
            return f"{kind}({{...}}, name={name!r})"
        showing.add(name)
        try:
            items = list(islice(self._iter_items(), _SHOWN + 1))
            entries = [f"{key!r}: {value!r}" for key, value in items[:_SHOWN]]
        finally:
            showing.remove(name)
        entries += ["..."] * (len(items) > _SHOWN)
        return f"{kind}({{{', '.join(entries)}}}, name={name!r})"


class _Keys(KeysView[K]):
    """Keys by an iterator that threads may share, which a generator is not."""

    __slots__ = ()
    _mapping: SharedDict[K, Any]

    def __iter__(self) -> Iterator[K]:
        return iter(self._mapping)


class _Values(ValuesView[V]):
    """Values read one after the other, not looked up by their keys."""

    __slots__ = ()
    _mapping: SharedDict[Any, V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping._iter_values()

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class _Items(ItemsView[K, V]):
    """Entries read one after the other, not looked up by their keys."""

    __slots__ = ()
    _mapping: SharedDict[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._iter_items()

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and super().__contains__(item)


def _plain(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """A dict of a mapping's entries, which may go while they are copied."""
    return mapping.copy() if isinstance(mapping, SharedDict) else dict(mapping)


def _reopen(
    cls: type[SharedDict[Any, Any]], how: str, name: str, settings: tuple[Any, ...]
) -> SharedDict[Any, Any]:
    return cls.__new__(cls)._start(how, name, _Settings(*settings))


def tables() -> list[str]:
    """The names of all tables on this machine.

    >>> d = SharedDict()
    >>> d.name in tables()
    True
    """
    return list_names()
