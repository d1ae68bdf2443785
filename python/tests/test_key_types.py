"""Are keys of many types found by equality, and do they come back as they were?"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import itertools
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import numpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shmtable import (
    CodecError,
    KeyTooLargeError,
    KeyTypeError,
    PickleRefusedError,
    SharedDict,
)

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]

UTC = datetime.timezone.utc


class Zone(datetime.tzinfo):
    """An hour ahead; two in 2024 before November, so that an hour comes twice."""

    def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta | None:
        if moment is None:
            return None
        hour = 2 if moment.fold else 3
        wall = moment.replace(tzinfo=None, fold=0)
        summer = datetime.datetime(2024, 4, 1, hour) <= wall < datetime.datetime(2024, 11, 1, hour)
        return datetime.timedelta(hours=2 if summer else 1)

    def dst(self, moment: datetime.datetime | None) -> datetime.timedelta | None:
        return None

    def tzname(self, moment: datetime.datetime | None) -> str:
        return "Zone"


class NoZone(datetime.tzinfo):
    """Says nothing, so that its datetimes count as naive."""

    def utcoffset(self, moment: datetime.datetime | None) -> None:
        return None

    dst = utcoffset


ZONE = Zone()
EAST = datetime.timezone(datetime.timedelta(hours=3))
ODD = datetime.timezone(datetime.timedelta(hours=-5, minutes=-30, microseconds=7))


class Kind(enum.Enum):
    ONE = 1
    TWO = "two"
    ALSO_ONE = 1

class OtherKind(enum.Enum):
    ONE = 1


class Bits(enum.Flag):
    A = 1
    B = 2


class Day(datetime.date):
    pass


class Equal(enum.Enum):
    """With an equality of its own."""

    ONE = 1

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = enum.Enum.__hash__


class Outer:
    class Inner:
        pass


D, F = decimal.Decimal, fractions.Fraction
naive = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)

# What comes back as it is, of its very type.
SAME: list[Any] = [
    D("0.1"), D("-1.23E-30"), D("1E-999999"), D("123456789012345678901234567890.5"),
    F(1, 3), F(-22, 7), F(10**400, 3), 1 + 2j, 0.5j, complex(float("inf"), 1), complex(1, 1e300),
    datetime.date(2024, 2, 29), datetime.date.min, datetime.date.max,
    naive, datetime.datetime.min, datetime.datetime.max,
    naive.replace(tzinfo=UTC), datetime.datetime.min.replace(tzinfo=UTC),
    datetime.datetime.max.replace(tzinfo=UTC), datetime.datetime(1970, 1, 1, tzinfo=UTC),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime.datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
    datetime.datetime(2514, 5, 30, 1, 53, 4, tzinfo=UTC),
    datetime.time(1, 2, 3, 4), datetime.time(), datetime.timedelta(1, 2, 3),
    datetime.timedelta(-1, microseconds=-1), datetime.timedelta.min, datetime.timedelta.max,
    uuid.UUID(int=0), uuid.UUID("12345678-1234-5678-1234-567812345678"),
    pathlib.Path("a/b"), pathlib.Path("/"), pathlib.Path("."), pathlib.Path("\udc80é"),
    Kind.ONE, Kind.TWO, Bits.A, Bits.A | Bits.B, Bits(0), int, type(None), Kind,
    datetime.date, Outer.Inner, numpy.int64, frozenset(), frozenset({1, "a", None}),
    frozenset({frozenset({D("0.1"), Kind.ONE}), (datetime.date(2024, 2, 29),)}),
    (Kind.ONE, (uuid.UUID(int=5), frozenset({int}))),
]  # fmt: skip

# What comes back as something that it equals.
EQUAL: list[tuple[Any, Any]] = [
    (D(3), 3), (D("0.5"), 0.5), (D("1E+30"), 10**30), (D("-0"), 0), (D("3.00"), 3),
    (D("0.10"), D("0.1")), (D("Infinity"), float("inf")), (F(1, 10), D("0.1")), (F(4, 2), 2),
    (F(1, 4), 0.25), (3 + 0j, 3), (0.5 - 0j, 0.5), (complex(-0.0, 1), 1j),
    (numpy.True_, 1), (numpy.complex128(1), 1), (numpy.complex64(1 + 2j), 1 + 2j),
    (memoryview(b"ab"), b"ab"), (Day(2024, 2, 29), datetime.date(2024, 2, 29)),
    (naive.replace(fold=1), naive), (naive.replace(tzinfo=NoZone()), naive),
    (naive.replace(tzinfo=EAST), (naive - datetime.timedelta(hours=3)).replace(tzinfo=UTC)),
    (naive.replace(tzinfo=ZONE), (naive - datetime.timedelta(hours=1)).replace(tzinfo=UTC)),
    (datetime.time(1, fold=1), datetime.time(1)), (Kind.ALSO_ONE, Kind.ONE),
    (pathlib.PurePosixPath("a"), pathlib.Path("a")), (pathlib.PurePosixPath("a//./b"), pathlib.Path("a/b")),
    (frozenset({1.0, D(2), True}), frozenset({1, 2})), ((D(1), frozenset({F(2)})), (1, frozenset({2}))),
]  # fmt: skip
KEYS = [*SAME, *itertools.chain(*EQUAL)]


@pytest.fixture
def table(name: str) -> Iterator[tuple[ANYTHING, ANYTHING]]:
    """A table, and its bytes."""
    with SharedDict(name=name, capacity=1000) as d, SharedDict.open(name, codec="raw") as raw:
        yield d, raw


def typed(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple, [typed(item) for item in key]
    if isinstance(key, frozenset):
        return frozenset, sorted(map(repr, map(typed, key)))
    if isinstance(key, datetime.datetime):
        return type(key), key.isoformat()
    return type(key), key, str(key)


@pytest.mark.parametrize("key", SAME, ids=repr)
def test_a_key_comes_back_as_it_was(new: NEW, key: Any) -> None:
    d = new({key: 1})
    (back,) = d
    assert typed(back) == typed(key)
    assert (back, hash(back)) == (key, hash(key))
    assert d[key] == d[back] == d.pop(key) == 1
    assert key not in d


@pytest.mark.parametrize(("key", "equal"), EQUAL, ids=repr)
def test_keys_that_are_equal_are_one_key(new: NEW, key: Any, equal: Any) -> None:
    assert (key, hash(key)) == (equal, hash(equal))
    d = new({key: 1})
    (back,) = d
    assert typed(back) == typed(equal)
    assert d[equal] == 1
    d[equal] = 2
    assert (d[key], len(d)) == (2, 1)


def test_all_pairs_are_one_key_if_they_are_in_a_dict(new: NEW) -> None:
    for key in KEYS:
        d = new({key: 1}, value_space=1 << 16)
        found = [value == 1 for value in d.get_many(KEYS)]
        assert found == [other in {key: 1} for other in KEYS], key
        d.close()


numeric = st.integers(-3, 3) | st.integers() | st.floats(allow_nan=False)
numeric |= st.fractions() | st.decimals(allow_nan=False) | st.complex_numbers(allow_nan=False)
numeric |= st.sampled_from([1, 10, 100]).flatmap(
    lambda d: st.integers(-30, 30).map(lambda n: F(n, d))
)
numeric |= st.tuples(st.integers(-30, 30), st.integers(-3, 3)).map(lambda n: D(n[0]).scaleb(n[1]))
numeric |= st.integers(-300, 300).map(lambda n: n / 10)
moments = st.datetimes(
    datetime.datetime(2024, 10, 31, 20), datetime.datetime(2024, 11, 1, 6)
) | st.datetimes()
zones = st.sampled_from([None, UTC, EAST, ODD, ZONE, NoZone()])
whole_hours = st.integers(-8, 8).map(lambda h: naive.replace(2024, 11, 1, 0, 0, 0, 0) + datetime.timedelta(hours=h))
times = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    moments | whole_hours,
    zones,
    st.integers(0, 1),
)
others = st.dates() | st.times() | st.timedeltas() | st.uuids() | st.text(max_size=3)
others |= st.lists(st.sampled_from("ab/.")).map(lambda parts: pathlib.PurePosixPath("".join(parts)))
others |= st.sampled_from(KEYS)
atoms = numeric | times | others
keys = st.recursive(
    atoms,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)


def bytes_of(d: ANYTHING, raw: ANYTHING, key: Any) -> bytes | None:
    """What a key is stored as; nothing if it is refused."""
    raw.clear()
    try:
        d[key] = 1
    except KeyTypeError:
        return None
    (stored,) = raw
    assert isinstance(stored, bytes)
    (back,) = d
    assert (back, hash(back)) == (key, hash(key))
    assert d[back] == 1
    return stored


@given(st.lists(keys | numeric | times, min_size=2, max_size=12))
@example([naive.replace(tzinfo=EAST), naive.replace(tzinfo=UTC) - datetime.timedelta(hours=3)])
@example([D("0.1"), F(1, 10), 0.1, D(0.1), F(0.1), "0.1", 1j / 10])
@example([datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29), numpy.int64(1), Kind.ONE])
def test_keys_have_the_same_bytes_if_and_only_if_they_are_equal_and_hash_alike(
    several: list[Any],
) -> None:
    with SharedDict(capacity=2, value_space=1 << 20) as d, SharedDict.open(d.name, codec="raw") as raw:
        stored = [(key, bytes_of(d, raw, key)) for key in several]
        for (a, bytes_a), (b, bytes_b) in itertools.combinations(stored, 2):
            if bytes_a is not None and bytes_b is not None:
                equal = bool(a == b) and hash(a) == hash(b)
                assert (bytes_a == bytes_b) == equal, (a, b)


@given(times)
def test_a_datetime_is_refused_only_if_its_zone_has_it_twice_or_not_at_all(
    moment: datetime.datetime,
) -> None:
    once = moment.replace(fold=not moment.fold).utcoffset() == moment.utcoffset()
    try:
        in_utc = moment.utcoffset() is None or moment.astimezone(UTC)
    except OverflowError:
        in_utc = False
    with SharedDict(capacity=2, value_space=1 << 20) as d:
        if once and in_utc:
            d[moment] = 1
            assert d[moment] == 1
        else:
            with pytest.raises(KeyTypeError, match=r"key.astimezone\(datetime.timezone.utc\)"):
                d[moment] = 1


# What is stored, as docs/python/stored.md has it.


def extension(code: int, content: bytes) -> bytes:
    return b"\xc7" + bytes([len(content), code % 256]) + content


def part(*items: Any) -> bytes:
    return b"".join(map(msgpack.packb, items))


STORED: list[tuple[Any, int, bytes]] = [
    (D("0.1"), ord("d"), part(1, -1)),
    (F(1, 3), ord("Q"), part(1, 3)),
    (1.5 + 2j, ord("J"), part(1.5, 2)),
    (datetime.date(2024, 2, 29), ord("D"), part(2024, 2, 29)),
    (naive, ord("N"), part(2024, 2, 29, 12, 30, 15, 123456)),
    (datetime.time(1, 2, 3, 4), ord("H"), part(1, 2, 3, 4)),
    (datetime.timedelta(1, 2, 3), ord("L"), part(1, 2, 3)),
    (uuid.UUID(int=7), ord("U"), uuid.UUID(int=7).bytes),
    (pathlib.Path("a/b"), ord("/"), part("a/b")),
    (Kind.ONE, ord("E"), part(__name__, "Kind", "ONE")),
    (Bits.A | Bits.B, ord("E"), part(__name__, "Bits", 3)),
    (int, ord("C"), part("builtins", "int")),
    (frozenset({"b", 1, "a"}), ord("F"), part(1, "a", "b")),
    (frozenset(), ord("F"), b""),
]


@pytest.mark.parametrize(("key", "code", "content"), STORED, ids=repr)
def test_what_is_stored_is_the_documented_extension(
    table: tuple[ANYTHING, ANYTHING], key: Any, code: int, content: bytes
) -> None:
    d, raw = table
    d[key] = 1
    assert list(raw) == [msgpack.packb(msgpack.ExtType(code, content))]


@pytest.mark.parametrize(
    "moment",
    [naive.replace(tzinfo=UTC)]
    + [datetime.datetime(*fields, tzinfo=UTC) for fields in [(1, 1, 1), (1970, 1, 1), (2106, 2, 8), (2600, 1, 1), (9999, 12, 31)]],  # type: ignore[arg-type,misc]
    ids=str,
)
def test_a_datetime_with_a_zone_is_a_timestamp_of_messagepack(
    table: tuple[ANYTHING, ANYTHING], moment: datetime.datetime
) -> None:
    d, raw = table
    d[moment] = 1
    (stored,) = raw
    assert stored == msgpack.packb(moment, datetime=True)
    assert msgpack.unpackb(stored, timestamp=3) == moment


# Who may load what.


def test_classes_and_members_of_enums_are_keys_where_pickles_are(name: str) -> None:
    for key in (Kind.ONE, int, (1, Kind.ONE), frozenset({int})):
        for codec in ("msgpack", "json"):
            with SharedDict(codec=codec, capacity=10) as d:  # type: ignore[arg-type]
                with pytest.raises(KeyTypeError, match='needs a table with codec="pickle"; use its name'):
                    d[key] = 1
        with SharedDict(name=name, capacity=10) as d:
            d[key] = 1
            with SharedDict.open(name, allow_pickle=False) as careful:
                for read in (list, lambda d: d.copy(), lambda d: d.popitem()):
                    with pytest.raises(PickleRefusedError, match="refused to load a key that is"):
                        read(careful)
                with pytest.raises(PickleRefusedError, match="refused to store a key .*; use its name"):
                    careful[key] = 2
            assert d.copy() == {key: 1}
            d.clear()


def test_a_planted_key_imports_nothing_where_pickles_are_refused(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_module.py").write_text("class Kind: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with SharedDict(name=name, capacity=10, mode=0o666) as d, SharedDict.open(name, codec="raw") as raw:
        raw[extension(ord("C"), part("planted_module", "Kind"))] = b"\x01"
        with pytest.raises(PickleRefusedError):
            list(d)
        assert "planted_module" not in sys.modules
        with SharedDict.open(name, allow_pickle=True) as trusting:
            (key,) = trusting
            assert key.__module__ == "planted_module"


def test_an_enum_of_the_main_module_is_one_key_in_children_of_every_kind(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "program.py").write_text("""
import enum, multiprocessing
from shmtable import SharedDict

class Kind(enum.Enum):
    ONE = 1

def child(d, method):
    assert d[Kind.ONE] == method
    assert list(d) == [Kind.ONE]
    d[Kind.ONE] = "seen"

if __name__ == "__main__":
    with SharedDict(capacity=10) as d:
        for method in ("fork", "forkserver", "spawn"):
            d[Kind.ONE] = method
            process = multiprocessing.get_context(method).Process(target=child, args=(d, method))
            process.start()
            process.join()
            assert process.exitcode == 0
            assert d.copy() == {Kind.ONE: "seen"}
    print("well")
""")
    ended = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "well\n"), ended.stderr


def test_a_key_whose_class_is_gone_raises_what_its_import_raises(
    table: tuple[ANYTHING, ANYTHING],
) -> None:
    d, raw = table
    for place, error in [
        (("no_such_module", "Kind", "ONE"), ModuleNotFoundError),
        (("datetime", "gone", "ONE"), AttributeError),
        ((__name__, "Kind", "THREE"), AttributeError),
        ((__name__, "naive", "ONE"), CodecError),
    ]:
        raw.clear()
        raw[extension(ord("E"), part(*place))] = b"\x01"
        with pytest.raises(error) as caught:
            list(d)
        assert caught.value.__notes__[0].startswith("while loading a key: codec=")  # type: ignore[attr-defined]


DAMAGED = [(ord("D"), part(2024, 13, 1)), (ord("D"), part(2024)), (ord("N"), part("a")), (ord("U"), b"1")]
DAMAGED += [(-1, b"12345"), (-1, b"\xff" * 8), (ord("Q"), part(1, 0)), (ord("Q"), part("1e999999999"))]
DAMAGED += [(ord("d"), part(1, 2**63)), (ord("d"), part(1.5, 1)), (ord("J"), part("1j")), (ord("/"), part(1))]
DAMAGED += [(ord("F"), b"\xc1"), (ord("L"), part(10**12, 0, 0)), (ord("Z"), b""), (ord("F"), part({}))]


@pytest.mark.parametrize(("code", "content"), DAMAGED, ids=repr)
def test_a_damaged_key_is_an_error(
    table: tuple[ANYTHING, ANYTHING], code: int, content: bytes
) -> None:
    d, raw = table
    raw[extension(code, content)] = b"\x01"
    for read in (list, lambda d: d.copy(), lambda d: d.popitem()):
        with pytest.raises(CodecError, match="cannot decode a key"):
            read(d)


# What others make keys of, and what is refused.


class _HashedTuple(tuple):  # type: ignore[type-arg]
    """As cachetools' keys are."""

    def __hash__(self) -> int:
        return tuple.__hash__(self)


def test_keys_of_decorators_that_mark_keywords_by_a_class_are_taken(new: NEW) -> None:
    mark = (_HashedTuple,)
    key = _HashedTuple((1, *mark, "y", 2))
    typed_key = _HashedTuple((1, *mark, "y", 2, int, int))
    d = new({key: "plain", typed_key: "typed"})
    assert d[_HashedTuple((1, *mark, "y", 2))] == "plain"
    assert d.copy() == {tuple(key): "plain", tuple(typed_key): "typed"}


RECIPES: list[tuple[Any, str]] = [
    (functools._make_key((1, 2), {"a": 1}, False), r"\(args, tuple\(sorted\(kwargs.items\(\)\)\)\)"),
    (datetime.time(1, tzinfo=UTC), "without a time zone"),
    (enum.Enum("Nowhere", "ONE").ONE, "use its name or its value"),  # type: ignore[attr-defined]
    (Equal.ONE, "use its name or its value"),
    (lambda: 1, r"use its name, such as key.__qualname__"),
    (numpy.datetime64("2024-02-29"), r"key.item\(\)"),
    (pathlib.PureWindowsPath("a"), r"str\(key\)"),
    (D("nan"), "nan cannot be a key"),
]


@pytest.mark.parametrize(("key", "recipe"), RECIPES, ids=repr)
def test_a_refused_key_names_what_to_use(new: NEW, key: Any, recipe: str) -> None:
    d = new()
    for use in (lambda k: d.get(k), lambda k: d.__setitem__(k, 1), lambda k: k in d):
        with pytest.raises(KeyTypeError, match=recipe):
            use(key)
    assert d == {}


def test_a_number_of_a_billion_digits_is_refused_at_once(new: NEW) -> None:
    d = new()
    for key in (D("1E+999999999"), D("1.5E+999999999999")):
        with pytest.raises(KeyTooLargeError, match="the key is too large: .*; store a digest of it"):
            d[key] = 1
        assert key not in d
    d[D("1E-999999999")] = 1
    assert list(d) == [D("1E-999999999")]


def test_frozensets_nested_too_deep_are_refused(new: NEW) -> None:
    key: Any = frozenset()
    for _ in range(127):
        key = frozenset({key})
    d = new({key: 1})
    assert d == {key: 1}
    with pytest.raises(KeyTypeError, match="nested more than 128 deep"):
        d[frozenset({key})]
