"""The figures of a table, and how they are printed."""

from __future__ import annotations

import datetime


class Stats(dict[str, int]):
    """The figures of a table at one moment, which `SharedDict.stats` returns.

    A dict of names to ints; `print` shows them for people, with units. Figures whose names
    contain `bytes` are in bytes, `created` is in nanoseconds since 1970, `grows` is 1 or 0,
    and all others are counts. The documentation explains each.

    >>> from shmtable import SharedDict
    >>> stats = SharedDict({'a': 1}, capacity=1000).stats()
    >>> stats['entries'] / stats['capacity']
    0.001
    >>> print(stats)  # doctest: +ELLIPSIS
    entries       1 of 1,000 (0.1 %), 2,240 slots
    ...
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(f"{name:<14}{text}" for name, text in _lines(self))


def _lines(stats: Stats) -> list[tuple[str, str]]:
    def size(name: str) -> str:
        return _size(stats[name])

    def count(name: str) -> str:
        return f"{stats[name]:,}"

    created = datetime.datetime.fromtimestamp(stats["created"] // 10**9, datetime.timezone.utc)
    return [
        ("entries", f"{_entries(stats)}, {count('slots')} slots"),
        (
            "value space",
            f"{size('value_space')}: {size('value_bytes_live')} live, {size('value_bytes_dead')} "
            f"to be cleaned, {size('value_bytes_free')} free",
        ),
        (
            "memory",
            f"{size('memory_bytes')}{_bound(stats)}: {size('index_bytes')} for the index{_most_index(stats)}, "
            f"{size('value_bytes_reserved')} for values; {size('segment_bytes')} of address space",
        ),
        (
            "chunks",
            f"of {size('chunk_bytes')}: {count('chunks_free')} free, {count('chunks_open')} open, "
            f"{count('chunks_sealed')} sealed, {count('chunks_cleaning')} being cleaned, "
            f"{count('chunks_in_runs')} in runs; {count('cleanings')} cleaned so far",
        ),
        ("participants", f"{count('participants')} of {count('max_participants')}"),
        (
            "locks",
            f"{count('stripes')}, taken {count('acquired')} times: {count('contended')} "
            f"{_share(stats, 'contended', 'acquired')} after a wait, {count('take_overs')} "
            "recovered from dead processes",
        ),
        ("lookups", f"at most {count('longest_probe')} {'bucket' if stats['longest_probe'] == 1 else 'buckets'}"),
        ("created", f"{created:%Y-%m-%d %H:%M:%S} UTC"),
    ]


def _entries(stats: Stats) -> str:
    entries, capacity = stats["entries"], stats["capacity"]
    if stats["grows"]:
        return f"{entries:,}, grows to {capacity:,}"
    return f"{entries:,} of {capacity:,} {_share(stats, 'entries', 'capacity')}"


def _most_index(stats: Stats) -> str:
    most = stats["max_index_bytes"]
    return "" if most == stats["index_bytes"] else f" (up to {_size(most)})"


def _bound(stats: Stats) -> str:
    most = stats["max_bytes"]
    return f" of at most {_size(most)}" if most else ""


def _share(stats: Stats, part: str, whole: str) -> str:
    return f"({100 * stats[part] / max(stats[whole], 1):.1f} %)"


def _size(size: int) -> str:
    """Returns a number of bytes with its unit, such as 1.5 MiB."""
    if size < 1 << 10:
        return f"{size} B"
    for unit, shift in [("KiB", 10), ("MiB", 20), ("GiB", 30)]:
        if size < 1000 << shift:
            return f"{size / (1 << shift):.1f} {unit}"
    return f"{size / (1 << 40):.1f} TiB"
