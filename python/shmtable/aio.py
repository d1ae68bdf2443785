"""Waits for coroutines: they let the event loop run, and end when their task is cancelled.

>>> import asyncio
>>> from shmtable import SharedDict, aio
>>> async def main(d):
...     answer = asyncio.create_task(aio.wait(d, 'answer', timeout=10))
...     question = await aio.get_or_compute(d, 'question', ask)
...     d['answer'] = 42
...     return question, await answer
>>> async def ask():
...     return '6 * 7'
>>> asyncio.run(main(SharedDict()))
('6 * 7', 42)

All other operations are short: call the methods of `SharedDict` as they are. See
"asyncio" in the documentation.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from shmtable._missing import MISSING, Missing
from shmtable._native import Waits
from shmtable._waiting import held_claims

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

    from shmtable._dict import SharedDict

__all__ = ["get_or_compute", "wait", "watch"]

K = TypeVar("K")
V = TypeVar("V")

# Seconds after which a waiting thread looks whether its loop has been closed.
_SLICE = 0.05
# Slices without a wait after which the thread of a loop ends.
_IDLE = 20
# Seconds after which a waiter looks whether a claim was given up: only a value ends its wait.
_CLAIM_SLICE = 0.05
# Seconds that are as good as endless.
_ENDLESS = 1e8


async def wait(d: SharedDict[K, V], key: K, timeout: float | None = None) -> V:
    """Waits until a key has a value, and returns the value.

    Works as `d.wait` does, in a coroutine: the event loop runs during the wait, and the wait
    ends when its task is cancelled. After `timeout` seconds it raises `WaitTimeoutError`, a
    `TimeoutError`; with `None` it has no limit. If `d` is closed, it raises `ClosedError`.
    """
    encoded = d._encode_key(key, timeout)
    stored = d._stored(encoded)
    if stored is None:
        ended = await _waits().change(d, encoded, None, timeout)
        if isinstance(ended, _Expired):
            raise Waits.timed_out(key, ended.seconds, "value")
        stored = ended
    assert stored is not None
    return d._load(encoded, stored)


def watch(
    d: SharedDict[K, V], key: K, timeout: float | None = None
) -> AsyncIterator[V | Literal[Missing.MISSING]]:
    """Returns an asynchronous iterator over the values of a key: the present one, then each change.

    Works as `d.watch` does, in a coroutine: `MISSING` stands for no value, and a value that is
    replaced before this iterator sees it is skipped; the latest one never is. The event loop
    runs during each wait. If there is no change for `timeout` seconds, a step raises
    `WaitTimeoutError`; the next step waits again.
    """
    return _Watch(d, key, d._encode_key(key, timeout), timeout)


async def get_or_compute(
    d: SharedDict[K, V],
    key: K,
    function: Callable[[], Awaitable[V]],
    timeout: float | None = None,
) -> V:
    """Returns the value of a key, which a coroutine function computes if there is none.

    Of all processes, threads and tasks that ask at the same time, one computes and stores the
    value; the others wait for it. It is the same claim as that of `d.get_or_compute`, so both
    may be used for one key. If the function raises, its task is cancelled or its process dies,
    another caller takes its place, within 50 ms.

    The timeout, in seconds, is for waiting only: if another caller's computation takes longer,
    a `ComputeTimeoutError` is raised. Computations that wait for each other, or for themselves,
    would never end: one of them gets a `DeadlockError`.
    """
    encoded = d._encode_key(key, timeout)
    kind, found = d._claim(key)
    if kind == "value":
        return cast("V", found)
    waits = _waits()
    deadline = None if timeout is None else waits.loop.time() + timeout
    place = (id(d), encoded)
    while True:
        if kind == "value":
            return cast("V", found)
        if kind == "mine":
            return await _compute(waits, place, d, key, found, function)
        left = None if deadline is None else deadline - waits.loop.time()
        if left is not None and left <= 0:
            raise Waits.timed_out(key, timeout or 0.0, "compute")
        if found is not None:
            # This task computes a value itself, and the waits may be a circle. Only a thread
            # can tell the other processes what it waits for.
            slice_ = _CLAIM_SLICE if left is None else min(left, _CLAIM_SLICE)
            await asyncio.to_thread(found.wait, d, slice_)
        elif place in waits.flights:
            await asyncio.wait([waits.flights[place]], timeout=left)
        else:
            # The other tasks of this loop that want the value wait for this one.
            with waits.flying(place):
                while kind == "others" and (deadline is None or deadline > waits.loop.time()):
                    left = None if deadline is None else deadline - waits.loop.time()
                    slice_ = _CLAIM_SLICE if left is None else min(left, _CLAIM_SLICE)
                    await waits.change(d, encoded, None, slice_)
                    kind, found = d._claim(key)
                if kind == "mine":
                    return await _compute(waits, place, d, key, found, function)
            continue
        kind, found = d._claim(key)


async def _compute(
    waits: _Waits,
    place: tuple[int, bytes],
    d: SharedDict[K, V],
    key: K,
    computation: Any,
    function: Callable[[], Awaitable[V]],
) -> V:
    """Computes the value of a key whose claim this task has."""
    before = held_claims.get()
    held_claims.set((*before, computation))
    try:
        with waits.flying(place):
            value = await function()
            held_claims.set(before)
            return d._finish(key, computation, value)
    finally:
        held_claims.set(before)
        computation.end()


class _Watch(Generic[K, V]):
    """What `watch` returns."""

    def __init__(
        self, d: SharedDict[K, V], key: K, encoded: bytes, timeout: float | None
    ) -> None:
        self._d = d
        self._key = key
        self._encoded = encoded
        self._timeout = timeout
        # The stored bytes of the last value that was returned.
        self._seen: bytes | None = None
        self._begun = False

    def __aiter__(self) -> _Watch[K, V]:
        return self

    async def __anext__(self) -> V | Literal[Missing.MISSING]:
        now = self._d._stored(self._encoded)
        if self._begun and now == self._seen:
            ended = await _waits().change(self._d, self._encoded, now, self._timeout)
            if isinstance(ended, _Expired):
                raise Waits.timed_out(self._key, ended.seconds, "change")
            now = ended
        self._begun, self._seen = True, now
        return MISSING if now is None else self._d._load(self._encoded, now)


class _Expired:
    """What a wait returns whose time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class _Waits:
    """The waits of one event loop, and the thread that waits for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # What tasks of this loop compute, or wait for other processes to compute: done when
        # the next one is to look.
        self.flights: dict[tuple[int, bytes], asyncio.Future[None]] = {}
        self._native = Waits()
        self._futures: dict[int, asyncio.Future[bytes | None | _Expired]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = False
        # A program may end while a daemon's loop runs.
        self._daemon = threading.current_thread().daemon
        # A loop closes its asynchronous generators before it ends: this one ends the thread.
        self._at_the_end = self._until_the_end()
        with contextlib.suppress(StopIteration):
            self._at_the_end.__anext__().send(None)

    async def change(
        self, d: SharedDict[Any, Any], encoded: bytes, seen: bytes | None, seconds: float | None
    ) -> bytes | None | _Expired:
        """Waits until the stored bytes of a key differ from those seen, and returns them."""
        number, future = self._begin(d, encoded, seen)
        timer = None
        if seconds is not None and seconds < _ENDLESS:
            timer = self.loop.call_later(seconds, _expire, future, _Expired(seconds))
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            if self._futures.pop(number, None) is not None:
                self._native.remove(number)

    def _begin(
        self, d: SharedDict[Any, Any], encoded: bytes, seen: bytes | None
    ) -> tuple[int, asyncio.Future[bytes | None | _Expired]]:
        if self._ended:
            raise RuntimeError("the event loop is about to end, and waits for nothing any more")
        future: asyncio.Future[bytes | None | _Expired] = self.loop.create_future()
        number = self._native.add(d, encoded, seen)
        self._futures[number] = future
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shmtable.aio")
                self._thread.start()
        return number, future

    @contextlib.contextmanager
    def flying(self, place: tuple[int, bytes]) -> Iterator[None]:
        """Tells the other tasks of this loop that this one gets the value of a key."""
        if place in self.flights:
            yield
            return
        flight = self.flights[place] = self.loop.create_future()
        try:
            yield
        finally:
            del self.flights[place]
            # The loop may have been closed.
            with contextlib.suppress(RuntimeError):
                flight.set_result(None)

    def _run(self) -> None:
        """Waits, in a thread of its own, until there has been nothing to wait for for a while."""
        idle = 0
        while True:
            ended = self._native.wait(_SLICE)
            if ended:
                # The loop may have been closed.
                with contextlib.suppress(RuntimeError):
                    self.loop.call_soon_threadsafe(self._deliver, ended)
            with self._lock:
                idle = 0 if self._native else idle + 1
                if idle > _IDLE or self._is_over():
                    self._thread = None
                    return

    def _deliver(self, ended: list[tuple[int, bytes | None, BaseException | None]]) -> None:
        for number, stored, error in ended:
            future = self._futures.pop(number, None)
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(stored)
            else:
                future.set_exception(error)

    def _is_over(self) -> bool:
        """Whether no task takes the result of a wait any more."""
        if self._ended or self.loop.is_closed():
            return True
        # The program ends, and waits for this thread.
        main = threading.main_thread()
        return not main.is_alive() and (self._daemon or not self.loop.is_running())

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        """Ends the thread, and all waits."""
        with self._lock:
            self._ended = True
            thread = self._thread
        self._native.wake()
        if thread is not None:
            thread.join()
        if _of_loops.get(self.loop) is self:
            del _of_loops[self.loop]
        for future in self._futures.values():
            future.cancel()


def _expire(future: asyncio.Future[Any], expired: _Expired) -> None:
    if not future.done():
        future.set_result(expired)


_of_loops: dict[asyncio.AbstractEventLoop, _Waits] = {}
# Those of the parent of this process. They are kept, because a loop may be told when they go.
_of_parent: list[_Waits] = []


def _forget_those_of_the_parent() -> None:
    _of_parent.extend(_of_loops.values())
    _of_loops.clear()


os.register_at_fork(after_in_child=_forget_those_of_the_parent)


def _waits() -> _Waits:
    """Returns the waits of the running loop."""
    loop = asyncio.get_running_loop()
    waits = _of_loops.get(loop)
    if waits is None:
        for other in list(_of_loops):
            if other.is_closed():
                _of_loops.pop(other, None)
        waits = _of_loops[loop] = _Waits(loop)
    return waits
