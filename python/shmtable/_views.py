"""The views of a table: its keys, its values, and both."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from shmtable._missing import MISSING
from shmtable._native import SharedDictBase

if TYPE_CHECKING:
    from shmtable._dict import SharedDict

K = TypeVar("K")
V = TypeVar("V")


class _View:
    """The common part of the three views."""

    __slots__ = ()
    _mapping: SharedDict[Any, Any]

    @property
    def mapping(self) -> MappingProxyType[Any, Any]:
        """The table as a read-only mapping, as for the views of a dict."""
        return MappingProxyType(self._mapping)

    def __repr__(self) -> str:
        return f"{type(self).__name__[1:]}({self._mapping!r})"


class _KeysView(_View, KeysView[K]):
    """The keys, by an iterator that threads may share, unlike a generator."""

    __slots__ = ()
    _mapping: SharedDict[K, Any]

    def __iter__(self) -> Iterator[K]:
        return iter(self._mapping)


class _ValuesView(_View, ValuesView[V]):
    """The values, read one after another instead of looked up by their keys."""

    __slots__ = ()
    _mapping: SharedDict[Any, V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping._iter_values()

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class _ItemsView(_View, ItemsView[K, V]):
    """The entries, read one after another instead of looked up by their keys."""

    __slots__ = ()
    _mapping: SharedDict[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._iter_items()

    def __contains__(self, item: object) -> bool:
        if not (isinstance(item, tuple) and len(item) == 2):
            return False
        # Not by `[]`: a KeyError could come from loading the value.
        found = SharedDictBase.get(self._mapping, item[0], MISSING)
        return found is not MISSING and (found is item[1] or bool(found == item[1]))
