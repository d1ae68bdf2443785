"""The options that a table is created and opened with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

Codec: TypeAlias = (
    Literal["pickle"] | Literal["msgpack"] | Literal["json"] | Literal["raw"]  # noqa: PYI030
)
Trust: TypeAlias = Literal["anyone"] | list[int]


class TableOptions(TypedDict, total=False):
    """The options that a table is created with, to write the type of `**options` with.

    A function of yours that passes its options on to `SharedDict` takes
    `**options: Unpack[TableOptions]`; `SharedDict` says what each of them is.
    """

    capacity: int | None
    max_capacity: int | None
    max_bytes: int | None
    value_space: int | None
    mode: int | None
    chunk_size: int | None
    max_participants: int | None
    lock_timeout: float | None
    trust: Trust | None
    codec: Codec | None
    allow_pickle: bool | None


class Settings(NamedTuple):
    """The options that the native half opens a table with; `None` is the default."""

    capacity: int | None = None
    max_capacity: int | None = None
    max_bytes: int | None = None
    value_space: int | None = None
    mode: int | None = None
    chunk_size: int | None = None
    max_participants: int | None = None
    lock_timeout: float | None = None
    trust: Trust | None = None
    codec: Codec | None = None
    allow_pickle: bool | None = None


def settings_of(call: str, options: TableOptions) -> Settings:
    """Returns the settings for the options that a call was given."""
    for option in options:
        if option not in Settings._fields:
            allowed = ", ".join(Settings._fields)
            raise TypeError(
                f"{call}() got an unexpected keyword argument {option!r}; its options are {allowed}"
            )
    return Settings(**options)


def spell_out(method: Callable[..., object]) -> None:
    """Shows the options of a method one by one, in `help`, in notebooks and to `inspect`.

    `inspect` shows the signature of the function that another one says it wraps. To set a
    `__signature__` would import `inspect`, in each process that imports this package.
    """
    function = cast("FunctionType", getattr(method, "__func__", method))
    code, of_keywords = function.__code__, function.__kwdefaults__ or {}
    positional = code.co_varnames[: code.co_argcount]
    keywords = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
    defaults = function.__defaults__ or ()
    shown = list(positional[: len(positional) - len(defaults)])
    shown += map("{}={!r}".format, positional[len(shown) :], defaults)
    if code.co_posonlyargcount:
        shown.insert(code.co_posonlyargcount, "/")
    shown += ["*", *(f"{name}={of_keywords[name]!r}" for name in keywords)]
    shown += [f"{option}=None" for option in Settings._fields]
    made: dict[str, Any] = {}
    exec(f"def shown({', '.join(shown)}): pass", function.__globals__, made)
    # The names of types, as this file has them: the types are resolved in the method's module.
    hints = function.__annotations__
    of_result = hints.pop("return")
    del hints["options"]
    for option, hint in Settings.__annotations__.items():
        hints[option] = getattr(hint, "__forward_arg__", hint)
    hints["return"] = of_result
    made["shown"].__annotations__ = hints
    made["shown"].__code__ = made["shown"].__code__.replace(
        co_filename=code.co_filename, co_firstlineno=code.co_firstlineno
    )
    vars(function)["__wrapped__"] = made["shown"]
