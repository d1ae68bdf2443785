"""Waits for coroutines: they let the event loop run, and end when their task is cancelled.

>>> import asyncio
>>> from shmtable import SharedDict, aio
>>> async def main(d):
...     answer = asyncio.create_task(aio.wait(d, 'answer', timeout=10))
...     question = await aio.get_or_compute(d, 'question', ask)
...     async with aio.lock(d, 'pen', timeout=10):
...         d['answer'] = 42
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
import inspect
import os
import threading
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from shmtable._errors import InvalidOptionError
from shmtable._missing import MISSING, Missing
from shmtable._native import HeldClaim, Waits
from shmtable._waiting import claims_of_task, held_claims

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
    )

    from shmtable._dict import SharedDict
    from shmtable._native import Claim

__all__ = ["Lock", "claim", "get_or_compute", "lock", "wait", "wait_any", "watch"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

# Seconds after which a waiting thread looks whether its loop has been closed.
_SLICE = 0.05
# Slices without a wait after which the thread of a loop ends.
_IDLE = 20
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
        waits = _waits()
        stored = await waits.end_of(lambda native: native.add_change(d, encoded, None), timeout)
        if isinstance(stored, _Expired):
            raise Waits.timed_out(key, stored.seconds, "value")
    return d._load(encoded, stored)


async def wait_any(
    d: SharedDict[K, V], keys: Iterable[K], timeout: float | None = None
) -> tuple[K, V]:
    """Waits until any of several keys has a value, and returns the key and the value.

    Works as `d.wait_any` does, in a coroutine: of several keys that have a value, it is the
    first in the order of `keys`. The event loop runs during the wait, and the wait ends when its
    task is cancelled. After `timeout` seconds it raises `WaitTimeoutError`, a `TimeoutError`.
    """
    keys = list(keys)
    if not keys:
        raise InvalidOptionError("wait_any() was given no keys, and would wait forever")
    encoded = [d._encode_key(key, timeout) for key in keys]
    for key, bytes_ in zip(keys, encoded, strict=True):
        stored = d._stored(bytes_)
        if stored is not None:
            return key, d._load(bytes_, stored)
    found = await _waits().end_of(lambda native: native.add_any(d, encoded), timeout)
    if isinstance(found, _Expired):
        raise Waits.timed_out(keys, found.seconds, "any")
    at, stored = found
    return keys[at], d._load(encoded[at], stored)


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
    may be used for one key. If the function raises or its task is cancelled, another caller takes
    its place at once; if its process dies, within 50 ms.

    The timeout, in seconds, is for waiting only: if another caller's computation takes longer,
    a `ComputeTimeoutError` is raised. Computations that wait for each other, or for themselves,
    would never end: one of them gets a `DeadlockError`.
    """
    if not callable(function):
        if inspect.iscoroutine(function):
            # Otherwise Python warns that it was never awaited.
            function.close()
        raise TypeError(
            "aio.get_or_compute() takes a coroutine function, and was given a "
            f"{type(function).__name__}: pass the function without calling it, as fetch, not fetch()"
        )
    encoded = d._encode_key(key, timeout)
    kind, found = d._claim(key)
    if kind == "others":
        found = await _waits().end_of(
            lambda native: native.add_computed(d, encoded, key, claims_of_task()), timeout
        )
        if isinstance(found, _Expired):
            raise Waits.timed_out(key, found.seconds, "compute")
        if isinstance(found, bytes):
            return d._load(encoded, found)
    elif kind == "value":
        return cast("V", found)
    return await _compute(d, key, found, function)


async def _compute(
    d: SharedDict[K, V], key: K, computation: HeldClaim, function: Callable[[], Awaitable[V]]
) -> V:
    """Computes the value of a key whose claim this task has."""
    before = held_claims.get()
    held_claims.set((*before, computation))
    computation.belong_to_loop()
    try:
        returned = function()
        if not inspect.isawaitable(returned):
            raise TypeError(
                "aio.get_or_compute() takes a coroutine function, and this one did not return an "
                f"awaitable, but {returned!r:.100}: write it with async def, or use d.get_or_compute()"
            )
        value = await returned
        held_claims.set(before)
        return d._finish(key, computation, value)
    finally:
        held_claims.set(before)
        computation.end()


def lock(d: SharedDict[Any, Any], name: Any, timeout: float | None = None) -> Lock:
    """Returns a lock for tasks, threads and processes, for `async with aio.lock(d, name):`.

    It is the lock of `d.lock(name)`, so coroutines and plain functions exclude each other. It
    ends with its block, when its task is cancelled, and with its process, however that ends. The
    event loop runs during the wait. With a `timeout` in seconds, the `async with` raises a
    `WaitTimeoutError` if the lock is not free by then.

    One task has it at a time; the tasks of a loop get it in the order in which they asked. A task
    that takes a lock twice, and tasks that wait for each other's locks or computations, get a
    `DeadlockError`.
    """
    return Lock(d, name, timeout)


def claim(d: SharedDict[K, Any], key: K, timeout: float | None = 0.0) -> _Claiming[K]:
    """Claims a key, as `d.claim` does: `async with aio.claim(d, key) as claim:`, or `await` it.

    Waits for at most `timeout` seconds while another caller has the claim; with `None` without
    a limit. If it is not free by then, the `async with` raises a `WaitTimeoutError`, and
    `await aio.claim(...)` returns `None`. Otherwise both give the `Claim`, which ends with the
    block, by its `release`, or when nothing refers to it.
    """
    return _Claiming(d, key, timeout)


class Lock:
    """A lock for tasks, threads and processes, from `aio.lock`.

    Several tasks may use one object; one of them has the lock at a time.
    """

    def __init__(self, d: SharedDict[Any, Any], name: Any, timeout: float | None = None) -> None:
        self._d = d
        self._timeout = timeout
        self._lock = d.lock(name, timeout)

    @property
    def name(self) -> Any:
        """The name of the lock."""
        return self._lock.name

    @property
    def held(self) -> bool:
        """Whether a task has the lock by this object."""
        return self._lock.held

    async def acquire(self, timeout: float | None = None) -> bool:
        """Takes the lock, waiting while another caller holds it; `False` after the timeout.

        The timeout is in seconds; with `None` the wait has no limit, with 0 it does not wait.
        """
        encoded = self._lock._key(timeout)
        took = await _take(self._d, encoded, timeout, lambda: self._lock.acquire(0) or None)
        if isinstance(took, HeldClaim):
            self._lock._keep(took)
        return took is not None

    def release(self) -> None:
        """Gives the lock back. Raises a `RuntimeError` if no task has it by this object."""
        self._lock.release()

    async def __aenter__(self) -> Lock:
        if not await self.acquire(self._timeout):
            raise Waits.timed_out(self.name, self._timeout or 0.0, "lock")
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._lock.__exit__(*raised)

    def __repr__(self) -> str:
        return repr(self._lock).replace("<Lock", "<aio.Lock", 1)


class _Claiming(Generic[K]):
    """What `claim` returns."""

    def __init__(self, d: SharedDict[K, Any], key: K, timeout: float | None) -> None:
        self._d = d
        self._key = key
        self._encoded = d._encode_key(key, timeout)
        self._timeout = timeout
        self._claim: Claim[K] | None = None

    def __await__(self) -> Generator[Any, None, Claim[K] | None]:
        return self._take().__await__()

    async def _take(self) -> Claim[K] | None:
        took = await _take(
            self._d, self._encoded, self._timeout, lambda: self._d.claim(self._key)
        )
        return took.as_claim(self._key) if isinstance(took, HeldClaim) else took

    async def __aenter__(self) -> Claim[K]:
        self._claim = await self._take()
        if self._claim is None:
            raise Waits.timed_out(self._key, self._timeout or 0.0, "claim")
        return self._claim.__enter__()

    async def __aexit__(self, *raised: object) -> None:
        if self._claim is not None:
            self._claim.__exit__(*raised)


async def _take(
    d: SharedDict[Any, Any], key: bytes, timeout: float | None, attempt: Callable[[], T | None]
) -> T | HeldClaim | None:
    """Makes an attempt to get a claim, or waits for the claim; `None` after the timeout."""
    waits = _waits()
    queue = waits.queues.get((d.name, key))
    # A task that gives a lock back and takes it again at once would leave none for others.
    if not queue or (timeout is not None and timeout <= 0):
        took = attempt()
        if took is not None or (timeout is not None and timeout <= 0):
            return took
    with waits.queued((d.name, key)):
        held = await waits.end_of(
            lambda native: native.add_claim(d, key, claims_of_task()), timeout
        )
    return None if isinstance(held, _Expired) else cast("HeldClaim", held)


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
            now = await _waits().end_of(
                lambda native: native.add_change(self._d, self._encoded, self._seen),
                self._timeout,
            )
            if isinstance(now, _Expired):
                raise Waits.timed_out(self._key, now.seconds, "change")
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
        # How many tasks wait for a claim: of a table, by its name, and of a key.
        self.queues: dict[tuple[str, bytes], int] = {}
        self._native = Waits()
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = False
        # A program may end while a daemon's loop runs.
        self._daemon = threading.current_thread().daemon
        # A loop closes its asynchronous generators before it ends: this one ends the thread.
        self._at_the_end = self._until_the_end()
        with contextlib.suppress(StopIteration):
            self._at_the_end.__anext__().send(None)

    async def end_of(self, add: Callable[[Waits], int], seconds: float | None) -> Any:
        """Adds a wait and returns what it finds, or `_Expired` after so many seconds."""
        number, future = self._begin(add)
        timer = None
        if seconds is not None and seconds < _ENDLESS:
            timer = self.loop.call_later(seconds, _give, future, _Expired(seconds))
        try:
            return await future
        except BaseException:
            # The task was cancelled when it had its claim already.
            if future.done() and not future.cancelled() and not future.exception():
                _discard(future.result())
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if self._futures.pop(number, None) is not None:
                self._native.remove(number)

    def _begin(self, add: Callable[[Waits], int]) -> tuple[int, asyncio.Future[Any]]:
        if self._ended:
            raise RuntimeError("the event loop is about to end, and waits for nothing any more")
        future: asyncio.Future[Any] = self.loop.create_future()
        number = add(self._native)
        self._futures[number] = future
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shmtable.aio")
                self._thread.start()
        return number, future

    @contextlib.contextmanager
    def queued(self, place: tuple[str, bytes]) -> Iterator[None]:
        """Tells the other tasks of this loop that one waits for a claim."""
        self.queues[place] = self.queues.get(place, 0) + 1
        try:
            yield
        finally:
            self.queues[place] -= 1
            if not self.queues[place]:
                del self.queues[place]

    def _run(self) -> None:
        """Waits, in a thread of its own, until there has been nothing to wait for for a while."""
        idle = 0
        while True:
            ended = self._native.wait(_SLICE, self.loop.is_running)
            if ended:
                # The loop may have been closed.
                with contextlib.suppress(RuntimeError):
                    self.loop.call_soon_threadsafe(self._deliver, ended)
            with self._lock:
                idle = 0 if self._native else idle + 1
                if idle > _IDLE or self._is_over():
                    self._thread = None
                    return

    def _deliver(self, ended: list[tuple[int, Any, BaseException | None]]) -> None:
        for number, found, error in ended:
            future = self._futures.pop(number, None)
            if future is not None:
                _give(future, found if error is None else error)
            else:
                _discard(found)

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


def _give(future: asyncio.Future[Any], found: Any) -> None:
    """Ends the wait of a task, unless it has ended in another way."""
    if future.done():
        _discard(found)
    elif isinstance(found, BaseException):
        future.set_exception(found)
    else:
        future.set_result(found)


def _discard(found: Any) -> None:
    """Gives back what no task takes."""
    if isinstance(found, HeldClaim):
        found.end()


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
