"""The options that a table is created and opened with."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Codec: TypeAlias = (
    Literal["pickle"] | Literal["msgpack"] | Literal["json"] | Literal["raw"]  # noqa: PYI030
)
Trust: TypeAlias = Literal["anyone"] | list[int]


class Settings(NamedTuple):
    """The options that the native half opens a table with; `None` is the default."""

    capacity: int | None = None
    value_space: int | None = None
    mode: int | None = None
    chunk_size: int | None = None
    max_participants: int | None = None
    lock_timeout: float | None = None
    trust: Trust | None = None
    codec: Codec | None = None
    allow_pickle: bool | None = None
