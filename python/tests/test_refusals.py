"""Does a refused value's error tell the reason and the remedy?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from shmtable import SharedDict, ValueTypeError

NEW = Callable[..., SharedDict[Any, Any]]


async def coroutine() -> None:
    pass


NAN = float("nan")
REFUSED: dict[str, tuple[str, Callable[[], Any], str]] = {
    "lambda": ("pickle", lambda: lambda: 1, "type function as a pickle: .*lambda.*; store data: .* no lambda"),
    "lock": ("pickle", threading.Lock, "type _thread.lock as a pickle: .*lock.*; store data: .* no lock"),
    "lock in a list": ("pickle", lambda: [threading.Lock()], "type list as a pickle: .*lock.*; store"),
    "generator": ("pickle", lambda: (i for i in "a"), "as a pickle: .*; store a list of what it gives"),
    "nan": ("json", lambda: NAN, "type float as JSON: .*not JSON compliant.*; JSON takes .* finite"),
    "nan in a list": ("json", lambda: [NAN], 'type list as JSON: .*; .* or use .* codec="pickle" or'),
    "set": ("json", lambda: {1}, "type set as JSON: Object of type set is not JSON serializable; "),
    "surrogates": ("json", lambda: "\ud800", "type str as JSON: .*surrogates not allowed; JSON takes"),
    "set as MessagePack": ("msgpack", lambda: {1}, "type set as MessagePack; MessagePack takes None"),
    "set in a dict": ("msgpack", lambda: {"a": [{1}]}, "dict as MessagePack: it holds a set; .* convert"),
    "int as bytes": ("raw", lambda: 1, 'type int as bytes; encode it first: codec="raw" takes bytes'),
}


@pytest.mark.parametrize(("codec", "make", "message"), REFUSED.values(), ids=REFUSED)
def test_a_refused_value_names_the_reason_and_the_remedy(
    new: NEW, codec: str, make: Callable[[], Any], message: str
) -> None:
    d = new(codec=codec)
    with pytest.raises(ValueTypeError, match=f"^cannot store a value of .*{message}"):
        d[b"key"] = make()
    assert d == {}


def test_a_coroutine_is_to_be_awaited(new: NEW) -> None:
    d, value = new(), coroutine()
    with pytest.raises(ValueTypeError, match="type coroutine as a pickle: .*; await it, and store"):
        d["key"] = value
    value.close()


def test_a_value_nested_too_deep_for_messagepack_says_so(new: NEW) -> None:
    value: Any = 1
    for _ in range(129):
        value = [value]
    with pytest.raises(ValueTypeError, match="as MessagePack: it is nested more than 128 deep; "):
        new(codec="msgpack")["key"] = value
