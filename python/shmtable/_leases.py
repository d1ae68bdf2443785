"""How long an anonymous table keeps its name after it was pickled.

An anonymous table is removed with its creator's handle. But a handle that was pickled will
be opened elsewhere, by its name, at a time that this process isn't told. So the name stays
until the taker of the pickle has ended, as far as this process can know:

- a child that was given it when it was spawned: until the child has ended;
- a `multiprocessing.Pool`, in a task: until the pool's workers have ended. The end of the
  task is not enough: its function may have kept the handle without using it, and a handle
  opens its table when it is first used;
- a `ProcessPoolExecutor`, in a task: until the executor has shut down, for the same reason;
- an unknown taker (a queue, a pipe, a manager, `pickle.dumps`): until this process ends. A
  queue may have a long backlog, and bytes may be stored anywhere.

A handle that comes back to this process, as a task's result does, keeps the name as its
creator's handle does.

The taker is found from what the standard library's threads do while they pickle. That is
not documented; if anything looks different, the taker is unknown.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from multiprocessing import connection

# Its finalizers run when an object goes, and at exit after the children were joined; only in
# the process that made them, and also in children of multiprocessing.
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any

from shmtable._native import unlink_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shmtable._dict import SharedDict


class Lease:
    """The right of an anonymous table to its name, which is removed with the lease."""

    __slots__ = ("__weakref__", "_finalizer", "_keeper", "_takers", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        # The table stays open here as long as it has a name: a table that no process has
        # open looks like one whose creator was killed.
        self._keeper: object = None
        self._takers: dict[object, _Taker] = {}
        self._finalizer = Finalize(self, _remove, args=(name,), exitpriority=-100)

    def hand_out(self, handle: SharedDict[Any, Any]) -> None:
        """Keeps the name for the taker of the handle, which is being pickled."""
        taker = getattr(_this_thread, "taker", _UNKNOWN)
        if taker.key in self._takers and _handed_out.get(self.name) is self:
            # It is kept already, for this taker or until the process ends.
            if time.monotonic() >= _release_at:
                release_what_ended()
        elif self._finalizer.still_active():
            self._hand_out(handle)

    def _hand_out(self, handle: SharedDict[Any, Any]) -> None:
        if self._keeper is None:
            self._keeper = handle._keeper()
        taker = _taker()
        # The taker first: `release_what_ended` checks it last.
        self._takers[taker.key] = taker
        _handed_out[self.name] = known[self.name] = self
        release_what_ended()

    def end(self) -> None:
        """Removes the name now."""
        self._finalizer()
        self._keeper = None
        _handed_out.pop(self.name, None)

    def wanted(self) -> bool:
        """Whether a taker of the handle may still open it."""
        for key, taker in list(self._takers.items()):
            if taker.has_ended():
                self._takers.pop(key, None)
        return bool(self._takers)


# The leases of tables that this process created and pickled: as long as a taker may still open
# them, and as long as anything refers to them.
_handed_out: dict[str, Lease] = {}
known: weakref.WeakValueDictionary[str, Lease] = weakref.WeakValueDictionary()
# When names are to be given up again.
_release_at = 0.0


def forget(name: str) -> None:
    """Forgets the lease of a name that was removed."""
    _handed_out.pop(name, None)


def release_what_ended(_: object = None) -> None:
    """Gives up the names that no taker needs any more.

    It is called whenever a table is created, closed, listed, or pickled for another taker, when a
    pool goes, and while one table is pickled again and again for the same taker, ten times a second.
    """
    global _release_at
    _release_at = time.monotonic() + 0.1
    for name, lease in list(_handed_out.items()):
        if not lease.wanted():
            _handed_out.pop(name, None)
            # Another thread may have handed it out since.
            if lease._takers:
                _handed_out[name] = lease


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        unlink_name(name)


# A forked child removes none of its parent's names, and need not keep them.
os.register_at_fork(after_in_child=_handed_out.clear)


class _Taker:
    """A taker of a handle, which may open its table: here, an unknown one."""

    key: object = None

    def has_ended(self) -> bool:
        return False


_UNKNOWN = _Taker()
# The taker of all that a thread of a pool pickles.
_this_thread = threading.local()


class _Child(_Taker):
    """A process that is being spawned."""

    def __init__(self, popen: Any) -> None:
        self.key = self._popen = weakref.ref(popen, release_what_ended)

    def has_ended(self) -> bool:
        # The object goes once the process was waited for, or could not be started.
        popen = self._popen()
        return popen is None or _has_ended(popen)


class _Workers(_Taker):
    """The processes of a pool, and the thread that gives them their tasks."""

    def __init__(self, thread: threading.Thread, processes: Iterable[Any]) -> None:
        self.key = self._thread = weakref.ref(thread, release_what_ended)
        self._processes = processes

    def has_ended(self) -> bool:
        thread = self._thread()
        if thread is not None and thread.is_alive():
            return False
        # A process that was closed has no `_popen` any more.
        popens = [process._popen for process in list(self._processes)]
        return all(popen is None or _has_ended(popen) for popen in popens)


def _has_ended(popen: Any) -> bool:
    """Whether a process has ended, without waiting for it or reaping it."""
    if popen.returncode is not None:
        return True
    # There is no sentinel while the process is being started.
    sentinel = getattr(popen, "sentinel", None)
    return sentinel is not None and bool(connection.wait([sentinel], 0))


def _taker() -> _Taker:
    """Returns the taker of what this thread is pickling."""
    with contextlib.suppress(Exception):
        child = _child()
        if child:
            return child
        taker = _pool() or _executor()
        if taker:
            _this_thread.taker = taker
            return taker
    return _UNKNOWN


def _child() -> _Taker | None:
    for package in ("multiprocessing", "multiprocess", "billiard"):
        context = sys.modules.get(f"{package}.context")
        popen = context and context.get_spawning_popen()
        if popen:
            return _Child(popen)
    return None


def _pool() -> _Taker | None:
    """The pool whose tasks this thread hands out."""
    thread: Any = threading.current_thread()
    if type(thread).__name__ == "TaskHandler":
        processes = thread.pool  # of billiard
    elif _target(thread) == "Pool._handle_tasks":
        _tasks, _put, _outqueue, processes, _cache = thread._args
    else:
        return None
    return _Workers(thread, processes) if all(hasattr(p, "_popen") for p in processes) else None


def _executor() -> _Taker | None:
    """The executor whose calls this thread writes to a queue."""
    thread: Any = threading.current_thread()
    if _target(thread) != "Queue._feed":
        return None
    queues = [getattr(argument, "__self__", None) for argument in thread._args]
    for manager in threading.enumerate():
        queue = getattr(manager, "call_queue", None)
        if queue is not None and any(queue is fed for fed in queues):
            # It ends after the executor has shut down.
            processes: dict[int, Any] = getattr(manager, "processes")  # noqa: B009
            return _Workers(manager, processes.values())
    return None


def _target(thread: Any) -> str | None:
    """The name of the function that a thread runs."""
    return getattr(getattr(thread, "_target", None), "__qualname__", None)
