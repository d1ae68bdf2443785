"""The web applications of the tests: one for WSGI servers, one for ASGI servers.

Both use the table that SHMTABLE_NAME names, or an anonymous one of their own, made when
this module is imported: with a server that loads it before it forks, one for all workers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from shmtable import SharedDict

table: SharedDict[str, Any] = SharedDict(name=os.environ.get("SHMTABLE_NAME"), capacity=10_000)


def render() -> str:
    """A page that takes long to make."""
    table.add("rendered")
    time.sleep(0.3)
    return "page"


def answer(path: str) -> str:
    if path == "/hit":
        return str(table.add("hits"))
    if path == "/page":
        return table.get_or_compute("page", render)
    if path == "/worker":
        return str(os.getpid())
    if path == "/name":
        return table.name
    return "ready"


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = answer(environ["PATH_INFO"]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/wait":
        # What blocks goes into a thread, with a timeout of its own.
        body = str(await asyncio.to_thread(table.wait, "stored", 60)).encode()
    else:
        body = answer(scope["path"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
