"""Keys beside the plain ones: the form each is stored in, and back.

Keys are found by their bytes, so keys that are equal and hash alike must have one form,
and others must not share it. A form is a plain key (a str, bytes, int, float, None or
tuple), or an extension type of MessagePack: its code, and what it holds.

Loaded when the first such key turns up: most programs never need these modules.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import importlib
import numbers
import pathlib
import struct
import sys
import types
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from shmtable._errors import CodecError, KeyTooLargeError, KeyTypeError, PickleRefusedError

# The codes of the extension types. All hold plain keys or such extensions, one after the
# other, but for TIMESTAMP and UUID, which hold bytes.
TIMESTAMP = -1
PATH = ord("/")
CLASS = ord("C")
DATE = ord("D")
ENUM = ord("E")
FROZENSET = ord("F")
TIME = ord("H")
COMPLEX = ord("J")
TIMEDELTA = ord("L")
DATETIME = ord("N")
FRACTION = ord("Q")
UUID = ord("U")
DECIMAL = ord("d")
PLAIN = 0

# An integer of more decimal digits is longer than any key may be.
_DIGITS = 2_525_300

_EPOCH = datetime.datetime(1970, 1, 1)


class _Form(NamedTuple):
    # The key that comes back.
    back: Any
    code: int
    content: Any


def form(key: Any, imports: bool | None) -> tuple[int, Any]:
    """The code and the content of a key that is none of the plain ones.

    `imports` says whether keys may be classes and enum members, whose loading imports a
    module: as pickles are, or `None` where the codec has no pickles.
    """
    # As dict: what cannot be hashed is refused in its own words.
    hashed = hash(key)
    cause: Exception | None = None
    try:
        found = _form(key)
    except (ArithmeticError, TypeError, ValueError) as error:
        if isinstance(error, KeyTooLargeError):
            raise
        found, cause = None, error
    if found is None or not (
        found.back is key or (hash(found.back) == hashed and bool(found.back == key))
    ):
        raise KeyTypeError(_refusal(key)) from cause
    if found.code in (CLASS, ENUM) and not imports:
        kind = f"a key of type {_name(type(key))}, whose loading imports a module"
        if imports is None:
            raise KeyTypeError(
                f'{kind}, is for tables with codec="pickle" alone; use its name or its value'
            )
        raise PickleRefusedError(
            f"refused to store {kind}: other users may write to this table, and may have any "
            "module imported; use its name or its value, or pass allow_pickle=True if you trust "
            "all of them"
        )
    return found.code, found.content


def _form(key: Any) -> _Form | None:
    for kind, make in _FORMS:
        if isinstance(key, kind):
            return make(key)
    if type(key).__module__ == "numpy" and type(key).__name__ in ("bool", "bool_"):
        return _plain(int(key))
    return None


def _plain(key: Any) -> _Form:
    return _Form(key, PLAIN, key)


# Numbers: those that an integer or a float equals have its form, and the others one by
# their value, because all of Python's numbers compare by that.


def _of_decimal(key: decimal.Decimal) -> _Form | None:
    if key.is_nan():
        return None
    if key.is_infinite():
        return _plain(float(key))
    sign, digits, exponent = key.as_tuple()
    assert isinstance(exponent, int)
    # Not `normalize`, which rounds.
    significant = bytes(digits).rstrip(b"\0")
    exponent += len(digits) - len(significant)
    if not significant:
        return _plain(0)
    if len(significant) + max(exponent, 0) > _DIGITS:
        raise KeyTooLargeError(
            f"the key is too large: a number of {len(significant) + max(exponent, 0)} digits, the "
            f"limit is about {_DIGITS}; use str(key)"
        )
    if exponent >= 0:
        return _plain(int(key))
    if (real := float(key)) == key:
        return _plain(real)
    coefficient = int(decimal.Decimal((sign, tuple(significant), 0)))
    return _decimal(coefficient, exponent)


def _decimal(coefficient: int, exponent: int) -> _Form:
    return _Form(_to_decimal(coefficient, exponent), DECIMAL, (coefficient, exponent))


def _to_decimal(coefficient: int, exponent: int) -> decimal.Decimal:
    sign, digits, _ = decimal.Decimal(coefficient).as_tuple()
    return decimal.Decimal((sign, digits, exponent))


def _of_rational(key: numbers.Rational) -> _Form:
    value = fractions.Fraction(int(key.numerator), int(key.denominator))
    numerator, denominator = value.numerator, value.denominator
    if denominator == 1:
        return _plain(numerator)
    if _is_float(value):
        return _plain(float(value))
    # A decimal number equals it if its denominator has no other factors than 2 and 5.
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest == 1:
        places = max(twos, fives)
        return _decimal(numerator * 2 ** (places - twos) * 5 ** (places - fives), -places)
    return _Form(value, FRACTION, (numerator, denominator))


def _is_float(value: fractions.Fraction) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def _of_complex(key: Any) -> _Form:
    value = complex(key)
    if value.imag == 0:
        return _plain(value.real)
    return _Form(value, COMPLEX, (value.real, value.imag))


# Dates and times.


def _of_datetime(key: datetime.datetime) -> _Form:
    fields = (key.year, key.month, key.day, key.hour, key.minute, key.second, key.microsecond)
    local = datetime.datetime(*fields)
    offset = key.utcoffset()
    if offset is None:
        return _Form(local, DATETIME, fields)
    # Equal to all of the same instant, whatever their zones; but one that its zone has twice,
    # or not at all, equals none of another zone, and is refused for that.
    instant = local - offset
    since = instant - _EPOCH
    seconds, nanoseconds = since.days * 86400 + since.seconds, since.microseconds * 1000
    back = instant.replace(tzinfo=datetime.timezone.utc)
    return _Form(back, TIMESTAMP, _timestamp(seconds, nanoseconds))


def _timestamp(seconds: int, nanoseconds: int) -> bytes:
    """As MessagePack writes one, in the shortest of its forms."""
    if not 0 <= seconds < 1 << 34:
        return struct.pack(">Iq", nanoseconds, seconds)
    if nanoseconds == 0 and seconds < 1 << 32:
        return struct.pack(">I", seconds)
    return struct.pack(">Q", nanoseconds << 34 | seconds)


def _to_datetime(content: bytes) -> datetime.datetime:
    if len(content) == 4:
        nanoseconds, seconds = 0, int.from_bytes(content, "big")
    elif len(content) == 8:
        both = int.from_bytes(content, "big")
        nanoseconds, seconds = both >> 34, both & ((1 << 34) - 1)
    elif len(content) == 12:
        nanoseconds, seconds = struct.unpack(">Iq", content)
    else:
        raise ValueError("a timestamp has 4, 8 or 12 bytes")
    if nanoseconds % 1000 or nanoseconds >= 10**9:
        raise ValueError("a datetime has whole microseconds")
    instant = _EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    return instant.replace(tzinfo=datetime.timezone.utc)


def _of_date(key: datetime.date) -> _Form:
    fields = (key.year, key.month, key.day)
    return _Form(datetime.date(*fields), DATE, fields)


def _of_time(key: datetime.time) -> _Form | None:
    if key.utcoffset() is not None:
        return None
    fields = (key.hour, key.minute, key.second, key.microsecond)
    return _Form(datetime.time(*fields), TIME, fields)


def _of_timedelta(key: datetime.timedelta) -> _Form:
    fields = (key.days, key.seconds, key.microseconds)
    return _Form(datetime.timedelta(*fields), TIMEDELTA, fields)


# All else.


def _of_memoryview(key: memoryview) -> _Form:
    return _plain(key.tobytes())


def _of_frozenset(key: frozenset[Any]) -> _Form:
    back = frozenset(key)
    return _Form(back, FROZENSET, tuple(back))


def _of_uuid(key: uuid.UUID) -> _Form:
    back = uuid.UUID(int=key.int)
    return _Form(back, UUID, back.bytes)


def _of_path(key: pathlib.PurePosixPath) -> _Form:
    text = str(key)
    return _Form(_to_path(text), PATH, (text,))


def _to_path(text: str) -> pathlib.PurePath:
    return pathlib.PurePosixPath(text) if sys.platform == "win32" else pathlib.Path(text)


# What is equal to itself alone is stored as its name, if that leads back to it.


def _of_enum(key: enum.Enum) -> _Form | None:
    kind = type(key)
    at = _place(kind)
    if at is None or kind.__eq__ is not object.__eq__:
        return None
    member = key.value if isinstance(key, enum.Flag) else key.name
    content = (*at, member)
    return _Form(key, ENUM, content) if _to_enum(kind, member) is key else None


def _to_enum(kind: type[enum.Enum], member: str | int) -> enum.Enum:
    if isinstance(member, int):
        return kind(member)
    try:
        return kind.__members__[member]
    except KeyError:
        raise AttributeError(f"{_name(kind)} has no member {member!r}") from None


def _of_class(key: type) -> _Form | None:
    at = _place(key)
    if at is None or type(key).__eq__ is not type.__eq__:
        return None
    return _Form(key, CLASS, at)


def _place(kind: type) -> tuple[str, str] | None:
    """A class's module and its name there; nothing if it is not to be found by them."""
    # Python has no name for this one where it says that it is.
    module, name = ("types", "NoneType") if kind is type(None) else (kind.__module__, kind.__qualname__)
    # What children that were spawned call the module that their parent calls __main__.
    if module == "__mp_main__":
        module = "__main__"
    try:
        found = _attribute(sys.modules[module], name)
    except (AttributeError, KeyError):
        return None
    return (module, name) if found is kind else None


def _attribute(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _find(module: str, name: str, kind: type) -> Any:
    found = _attribute(importlib.import_module(module), name)
    if not isinstance(found, kind):
        raise CodecError(f"cannot decode a key: {module}.{name} is no {kind.__name__}")
    return found


# In this order: datetimes are dates, and members of enums may be of other types too.
_FORMS: list[tuple[type, Callable[[Any], _Form | None]]] = [
    (frozenset, _of_frozenset),
    (datetime.datetime, _of_datetime),
    (datetime.date, _of_date),
    (datetime.time, _of_time),
    (datetime.timedelta, _of_timedelta),
    (uuid.UUID, _of_uuid),
    (pathlib.PurePosixPath, _of_path),
    (decimal.Decimal, _of_decimal),
    (numbers.Rational, _of_rational),
    (numbers.Complex, _of_complex),
    (memoryview, _of_memoryview),
    (enum.Enum, _of_enum),
    (type, _of_class),
]


def load(code: int, content: Any) -> Any:
    """The key that an extension type stands for.

    What its content raises is a ValueError, TypeError or ArithmeticError, but for what the
    import of a class raises.
    """
    if code == TIMESTAMP:
        return _to_datetime(content)
    if code == UUID:
        return uuid.UUID(bytes=content)
    if code == FROZENSET:
        return frozenset(content)
    if code == CLASS:
        module, name = content
        return _find(module, name, type)
    if code == ENUM:
        module, name, member = content
        return _to_enum(_find(module, name, enum.EnumMeta), member)
    kind, make = _LOADS[code]
    # Others would be taken for something else, and may take for ever.
    if not all(isinstance(part, kind) for part in content):
        raise TypeError("it holds a part of the wrong type")
    return make(*content)


_LOADS: dict[int, tuple[Any, Callable[..., Any]]] = {
    PATH: (str, _to_path),
    DATE: (int, datetime.date),
    TIME: (int, datetime.time),
    COMPLEX: ((int, float), complex),
    TIMEDELTA: (int, datetime.timedelta),
    DATETIME: (int, datetime.datetime),
    FRACTION: (int, fractions.Fraction),
    DECIMAL: (int, _to_decimal),
}


def _name(kind: type) -> str:
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return module + kind.__qualname__


def _refusal(key: Any) -> str:
    if _is_nan(key):
        return "nan is no key: it does not equal itself, so it could never be found again"
    return (
        "a key is a str, bytes, int, float, bool, None, or of another type that the "
        "documentation names, or a tuple or frozenset of these, "
        f"not a {_name(type(key))}; {_recipe(key)}"
    )


def _is_nan(key: Any) -> bool:
    try:
        return bool(key != key)
    except Exception:
        return False


def _recipe(key: Any) -> str:
    """What to use in a refused key's place."""
    if isinstance(key, list):
        # What functools makes of a call's arguments.
        return "use a tuple; for a call's arguments, (args, tuple(sorted(kwargs.items())))"
    if isinstance(key, datetime.datetime) and key.tzinfo is not None:
        return "use one of a zone that has it once, such as key.astimezone(datetime.timezone.utc)"
    if isinstance(key, datetime.time):
        return "use one without a zone, or one that stands for it, such as str(key)"
    if isinstance(key, enum.Enum):
        return "use its name or its value; an enum whose class has a place in a module is taken"
    if isinstance(key, type | types.FunctionType | types.BuiltinFunctionType):
        return "use its name, such as key.__qualname__"
    if dataclasses.is_dataclass(key):
        return "use its fields, such as dataclasses.astuple(key)"
    if type(key).__module__ == "numpy" and hasattr(key, "item"):
        return "use a plain object that stands for it, such as key.item()"
    return "use one of them that stands for it, such as str(key)"
