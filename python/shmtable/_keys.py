"""Keys that are not plain: the form in which each is stored, and the way back.

A key is found by its bytes, so keys that are equal and have the same hash must have one
form, and no other key may have it. A form is a plain key (a str, bytes, int, float, None or
tuple), or an extension type of MessagePack: its code, and what it holds.

This module is loaded when the first such key turns up: most programs never need it.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import importlib
import math
import numbers
import pathlib
import struct
import sys
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from shmtable._errors import CodecError, KeyTypeError, PickleRefusedError
from shmtable._key_refusals import name_of, refusal

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

# The longest key of any table has fewer bytes, and an integer of more decimal digits has more.
_LONGEST = 1 << 20
_DIGITS = 2_525_300

# Digits and bits of numbers that Python converts by itself. It takes a time that grows with
# the square of the length, and lets no other thread run.
_SHORT_DIGITS = 1000
_SHORT_BITS = 4096

_EPOCH = datetime.datetime(1970, 1, 1)


class _Form(NamedTuple):
    # The key that comes back.
    back: Any
    code: int
    content: Any


def form(key: Any, imports: bool | None) -> tuple[int, Any]:
    """Returns the code and the content of a key that is not plain.

    `imports` says whether keys may be classes and enum members, whose loading imports a
    module: as pickles are, or `None` where the codec has no pickles.
    """
    # As dict: a key that cannot be hashed raises its own error.
    hashed = hash(key)
    cause: Exception | None = None
    try:
        found = _form(key)
    except (ArithmeticError, TypeError, ValueError) as error:
        found, cause = None, error
    if found is None or not (
        found.back is key or (hash(found.back) == hashed and bool(found.back == key))
    ):
        raise KeyTypeError(refusal(key)) from cause
    if found.code in (CLASS, ENUM) and not imports:
        is_class = found.code == CLASS
        kind = "a key that is a class" if is_class else f"a key of type {name_of(type(key))}"
        kind += ", whose loading imports a module"
        instead = "its name" if is_class else "its name or its value"
        if imports is None:
            raise KeyTypeError(f'{kind}, needs a table with codec="pickle"; use {instead}')
        raise PickleRefusedError(
            f"refused to store {kind}: other users may write to this table, and may have any "
            f"module imported; use {instead}, or pass allow_pickle=True if you trust all of them"
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


def _too_long(key: Any) -> _Form:
    """The form of a key that is longer than any table takes.

    It is found nowhere, and refused where it is to be stored, as all keys that are too long.
    """
    return _Form(key, PLAIN, bytes(_LONGEST))


# Numbers: one that equals an integer or a float has its form. The others have a form by their
# value, because all of Python's numbers compare by value.


def _of_decimal(key: decimal.Decimal) -> _Form | None:
    if key.is_nan():
        return None
    if key.is_infinite():
        return _plain(float(key))
    # Not `normalize`, which rounds.
    sign, digits, exponent = key.as_tuple()
    assert isinstance(exponent, int)
    significant = bytes(digits).rstrip(b"\0")
    exponent += len(digits) - len(significant)
    # The number itself, if it has its own `==` from here: it need not be compared.
    back = decimal.Decimal(key)
    if not significant:
        return _plain(0)
    if len(significant) + max(exponent, 0) > _DIGITS:
        return _too_long(back)
    if exponent < 0 and (real := float(key)) == key:
        return _plain(real)
    coefficient = _to_integer("".join(map(str, significant)), {})
    if sign:
        coefficient = -coefficient
    if exponent >= 0:
        return _Form(back, PLAIN, coefficient * 5**exponent << exponent)
    return _Form(back, DECIMAL, (coefficient, exponent))


def _to_integer(digits: str, powers: dict[int, int]) -> int:
    """The integer of decimal digits, of which there may be very many."""
    if len(digits) <= _SHORT_DIGITS:
        return int(digits)
    low = len(digits) // 2
    if low not in powers:
        powers[low] = 5**low
    high = _to_integer(digits[:-low], powers) * powers[low] << low
    return high + _to_integer(digits[-low:], powers)


def _to_decimal(coefficient: int, exponent: int) -> decimal.Decimal:
    sign, digits, _ = _whole_decimal(coefficient).as_tuple()
    return decimal.Decimal((sign, digits, exponent))


def _whole_decimal(value: int) -> decimal.Decimal:
    """The decimal number of an integer, which may have very many bits."""
    bits = value.bit_length()
    if bits <= _SHORT_BITS:
        return decimal.Decimal(value)
    powers: dict[int, decimal.Decimal] = {}

    def power_of_two(bits: int) -> decimal.Decimal:
        if bits <= _SHORT_BITS:
            return decimal.Decimal(1 << bits)
        if bits not in powers:
            half = bits // 2
            powers[bits] = power_of_two(half) * power_of_two(bits - half)
        return powers[bits]

    def whole(value: int, bits: int) -> decimal.Decimal:
        if bits <= _SHORT_BITS:
            return decimal.Decimal(value)
        half = bits // 2
        high = value >> half
        return whole(high, bits - half) * power_of_two(half) + whole(value - (high << half), half)

    exact = decimal.Context(
        prec=decimal.MAX_PREC,
        Emax=decimal.MAX_EMAX,
        Emin=decimal.MIN_EMIN,
        traps=[decimal.Inexact, decimal.InvalidOperation],
    )
    with decimal.localcontext(exact):
        result = whole(abs(value), bits)
        return -result if value < 0 else result


def _of_rational(key: numbers.Rational) -> _Form:
    # Those of Python are in lowest terms: to find that out takes long for large numbers.
    value = key if type(key) is fractions.Fraction else _to_fraction(key)
    numerator, denominator = value.numerator, value.denominator
    if denominator == 1:
        return _Form(value, PLAIN, numerator)
    if _is_float(value):
        return _plain(float(value))
    # A decimal number equals it if its denominator has no other factors than 2 and 5.
    twos = (denominator & -denominator).bit_length() - 1
    fives = _exponent_of_five(denominator >> twos)
    bits = numerator.bit_length()
    if fives is None:
        if bits + denominator.bit_length() > 8 * _LONGEST:
            return _too_long(value)
        return _Form(value, FRACTION, (numerator, denominator))
    places = max(twos, fives)
    # Of `log2(5)`, less than it is.
    if bits + places - twos + 232 * (places - fives) // 100 > 8 * _LONGEST:
        return _too_long(value)
    coefficient = numerator * 5 ** (places - fives) << (places - twos)
    return _Form(value, DECIMAL, (coefficient, -places))


def _to_fraction(key: numbers.Rational) -> fractions.Fraction:
    return fractions.Fraction(int(key.numerator), int(key.denominator))


def _exponent_of_five(value: int) -> int | None:
    """Returns which power of 5 a positive integer is, or `None` if it is none."""
    # The powers have different numbers of bits.
    exponent = int(value.bit_length() / math.log2(5))
    # A power's last digits, without computing all the others.
    if pow(5, exponent, 1 << 64) != value % (1 << 64):
        return None
    return exponent if 5**exponent == value else None


def _is_float(value: fractions.Fraction) -> bool:
    # A float's denominator is a power of 2, and not a large one.
    if value.denominator.bit_length() > 1100:
        return False
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


# Classes and enum members equal only themselves: they are stored as their names, if these
# lead back to them.


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
        raise AttributeError(f"{name_of(kind)} has no member {member!r}") from None


def _of_class(key: type) -> _Form | None:
    at = _place(key)
    if at is None or type(key).__eq__ is not type.__eq__:
        return None
    return _Form(key, CLASS, at)


def _place(kind: type) -> tuple[str, str] | None:
    """Returns a class's module and its name there, or None if these don't lead to it."""
    # This class is not where its attributes say.
    module, name = ("types", "NoneType") if kind is type(None) else (kind.__module__, kind.__qualname__)
    # Spawned children have this name for the module that their parent calls __main__.
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
        raise CodecError(f"cannot decode a key: {module}.{name} is not of type {kind.__name__}")
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
    """Returns the key that an extension type stands for.

    Wrong content raises a ValueError, TypeError or ArithmeticError; importing a class may
    raise anything.
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
    # Parts of other types would be taken for something else, and may take forever.
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
