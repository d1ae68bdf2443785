"""Is what is too long for its encoding refused before anything is stored?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtable import KeyTooLargeError, SharedDict, ValueTooLargeError

NEW = Callable[..., SharedDict[Any, Any]]

# MessagePack has lengths of 32 bits. Zeros that nobody wrote have no memory.
LIMIT = (1 << 32) - 1
TOO_LONG = bytes(LIMIT + 1)

HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda value: value,
    "list": lambda value: [1, value],
    "dict": lambda value: {"a": [value]},
}
STORES: dict[str, Callable[[SharedDict[Any, Any], Any], object]] = {
    "d[k] = v": lambda d, v: d.__setitem__("key", v),
    "set_many": lambda d, v: d.set_many([("key", v)]),
    "update": lambda d, v: d.update({"key": v}),
    "setdefault": lambda d, v: d.setdefault("new", v),
    "compare_exchange": lambda d, v: d.compare_exchange("key", "old", v),
    "update_value": lambda d, v: d.update_value("key", lambda _: v),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize("codec", ["pickle", "msgpack"])
def test_bytes_of_4_gib_are_refused_wherever_they_are_and_the_old_value_stays(
    new: NEW, codec: str, holder: Callable[[Any], Any]
) -> None:
    d = new({"key": "old"}, codec=codec)
    value = holder(TOO_LONG)
    for store in STORES.values():
        with pytest.raises(ValueTooLargeError, match=f"length {LIMIT + 1}, the limit .* {LIMIT}; store"):
            store(d, value)
        assert d == {"key": "old"}


def test_a_key_of_4_gib_is_refused(new: NEW) -> None:
    d = new({"key": "old"})
    for key in (TOO_LONG, ("a", TOO_LONG)):
        for use in (lambda k: d.get(k), lambda k: d.__setitem__(k, 1), lambda k: d.pop(k, None)):
            with pytest.raises(KeyTooLargeError, match=f"length {LIMIT + 1}, .* store a digest"):
                use(key)
    assert d == {"key": "old"}


@pytest.mark.parametrize("codec", ["pickle", "msgpack", "raw"])
def test_what_does_not_fit_the_memory_is_a_memory_error_and_not_the_end(
    tmp_path: Path, codec: str
) -> None:
    script = """
import resource, sys
from shmtable import SharedDict

d = SharedDict({b"key": b"old"}, capacity=10, value_space=1 << 20, codec=sys.argv[1])
value = bytes(1 << 30)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 28),) * 2)
try:
    d.replace(b"key", value if d.codec == "raw" else [value])
except MemoryError as error:
    print(error, d[b"key"])
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, codec], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    line = f"no memory for {1 << 30} bytes of a value to be stored b'old'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, line, "")
