"""What waits ask Python: what the waiter holds, how to sleep, and whether the result is still wanted."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# The claims that the running code holds, by its computations and locks, the outermost first.
# Threads, greenlets and tasks have contexts of their own; a copied context learns from the
# claims themselves when they have ended.
held_claims: ContextVar[tuple[Any, ...]] = ContextVar("shmtable claims", default=())

# The module in which the threads of executors take their work. It is not imported here: a
# program that has not imported it has no such threads.
_EXECUTORS = "concurrent.futures.thread"

# These replace `time.sleep` by one that lets other greenlets run.
_COOPERATIVE = {"gevent", "eventlet"}


def running_task() -> weakref.ref[Any] | None:
    """Returns a weak reference to the asyncio task that runs in this thread, if there is one."""
    # A program that has not imported it has no tasks.
    events = sys.modules.get("asyncio.events")
    loop = events and events._get_running_loop()
    if not loop:
        return None
    task = sys.modules["asyncio.tasks"].current_task(loop)
    return None if task is None else weakref.ref(task)


def claims_of_task() -> tuple[Any, ...]:
    """Returns the claims that the running task holds.

    Those of computations are its own if it runs in one. But a lock or a claim that was taken
    before a task was started belongs to the task that took it, which need not wait for the new
    one.
    """
    held = held_claims.get()
    if not held:
        return held
    task = running_task()
    return tuple(claim for claim in held if claim.task is None or claim.task == task)


def cooperative_sleep() -> Callable[[float], None] | None:
    """Returns the sleep that lets other greenlets run, if `time.sleep` was replaced by one."""
    module = getattr(time.sleep, "__module__", None) or ""
    return time.sleep if module.partition(".")[0] in _COOPERATIVE else None


def is_abandoned() -> bool:
    """Whether this thread works for an asyncio task that can no longer take the result.

    That is so if the task was cancelled, or if its loop has ended or is ending and waits for
    this thread.
    """
    worker = _frame_of_worker()
    if worker is None:
        return False
    names = worker.f_locals
    future, loop = _destination(names.get("work_item"))
    if future is not None and future.cancelled():
        return True
    if loop is not None:
        ending: bool = getattr(sys.modules[_EXECUTORS], "_shutdown", False)
        if loop.is_closed() or (ending and not loop.is_running()):
            return True
    # A loop that ends waits for the threads of its default executor, which has this prefix.
    if threading.current_thread().name.startswith("asyncio_"):
        reference = names.get("executor_reference")
        executor = reference() if callable(reference) else None
        return executor is None or bool(getattr(executor, "_shutdown", False))
    return False


def _frame_of_worker() -> FrameType | None:
    """Returns the frame in which this thread takes work of a `ThreadPoolExecutor`, if it does."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") == _EXECUTORS:
            return frame
        frame = frame.f_back
    return None


def _destination(work_item: Any) -> tuple[Any, Any]:
    """Returns the asyncio future that gets the result, and its loop.

    `asyncio.wrap_future` links them, and has no interface to tell: they are variables of its
    callback. If they are not there, nothing is known.
    """
    for callback in getattr(getattr(work_item, "future", None), "_done_callbacks", ()):
        code, cells = getattr(callback, "__code__", None), getattr(callback, "__closure__", None)
        if code is None or cells is None or not callback.__module__.startswith("asyncio."):
            continue
        names = dict(zip(code.co_freevars, cells, strict=False))
        try:
            return names["destination"].cell_contents, names["dest_loop"].cell_contents
        except (KeyError, ValueError):
            continue
    return None, None
