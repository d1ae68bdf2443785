"""Are a table, its views and its methods shown well to people and tools?"""

from __future__ import annotations

import inspect
import pickle
import pydoc
import subprocess
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shmtable
from shmtable import ClosedError, NotFoundError, ReadOnlyError, SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

ANYTHING = SharedDict[Any, Any]
NEW = Callable[..., ANYTHING]


# What cannot be loaded


class Unloadable:
    """A value that raises while it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return fail, ()


def fail() -> None:
    raise ZeroDivisionError


def test_repr_shows_a_placeholder_for_a_value_that_cannot_be_loaded(new: NEW) -> None:
    d = new({"good": 1})
    d["bad"] = Unloadable()
    text = repr(d)
    assert "'good': 1" in text
    assert "'bad': <ZeroDivisionError>" in text


def test_repr_shows_a_placeholder_for_a_key_that_cannot_be_loaded(new: NEW) -> None:
    d = new({"good": 1})
    with SharedDict.open(d.name, codec="raw") as raw:
        # A member of an enum of a module that is not there.
        raw[bytes([0xC7, 17, ord("E")]) + b"\xafno_such_module_" + b"\xa0"] = b"\x01"
        raw[b"\xc1"] = b"\x01"
    text = repr(d)
    assert "'good': 1" in text
    assert "<CodecError>: ..." in text
    assert text.count(">: ...") == 2
    assert d._ipython_key_completions_() == ["good"]


def test_repr_shows_a_table_in_a_table_that_is_gone(new: NEW) -> None:
    d = new()
    with SharedDict(capacity=10) as inner:
        d["inner"] = inner
        name = inner.name
    placeholder = f"<SharedDict that cannot be opened, name={name!r}: NotFoundError>"
    assert repr(d) == f"SharedDict({{'inner': {placeholder}}}, name={d.name!r})"


def test_repr_of_a_table_of_a_class_of_main_that_is_not_here(new: NEW) -> None:
    d = new()
    workers.run(
        f"""
from shmtable import SharedDict
class Mine: pass
SharedDict.open({d.name!r})["mine"] = Mine()
"""
    )
    assert repr(d) == f"SharedDict({{'mine': <AttributeError>}}, name={d.name!r})"


# Views


def test_views_show_the_table_and_no_private_name(new: NEW) -> None:
    d = new({"a": 1})
    assert repr(d.keys()) == f"KeysView({d!r})"
    assert repr(d.values()) == f"ValuesView({d!r})"
    assert repr(d.items()) == f"ItemsView({d!r})"


def test_views_have_the_mapping_that_those_of_a_dict_have(new: NEW) -> None:
    d = new({"a": 1})
    views: list[Any] = [d.keys(), d.values(), d.items()]
    for view in views:
        assert type(view.mapping) is types.MappingProxyType
        d.clear()
        d["b"] = 2
        assert dict(view.mapping) == {"b": 2}
        assert view.mapping["b"] == 2
        with pytest.raises(TypeError):
            view.mapping["c"] = 3


# Subclasses


def test_a_subclass_may_say_what_a_missing_key_has(new: NEW) -> None:
    class Doubling(SharedDict[str, str]):
        def __missing__(self, key: str) -> str:
            return key * 2

    with Doubling({"a": "b"}, capacity=10) as d:
        assert d["a"] == "b"
        assert d["c"] == "cc"
        assert "c" not in d
        assert d.get("c") is None
        with pytest.raises(KeyError):
            d.pop("c")


def test_what_missing_raises_is_raised(new: NEW) -> None:
    class Refusing(SharedDict[str, str]):
        def __missing__(self, key: str) -> str:
            raise LookupError(key)

    with Refusing(capacity=10) as d, pytest.raises(LookupError, match="c"):
        d["c"]


def test_a_subclass_that_does_not_call_super_is_told_so() -> None:
    class Forgetful(SharedDict[str, str]):
        def __init__(self) -> None:
            pass

    d = Forgetful()
    assert repr(d) == "<Forgetful that was never opened>"
    uses: list[Callable[[], object]] = [lambda: d["a"], lambda: len(d), lambda: pickle.dumps(d)]
    for use in uses:
        with pytest.raises(ClosedError, match=r"was never opened: .* super\(\).__init__"):
            use()
    d.close()
    with pytest.raises(ClosedError, match="was never opened"):
        d["a"]


# Mistakes


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [("results", r"to name .* SharedDict\(name='results'\)"), (1000, r"SharedDict\(capacity=1000\)")],
)
def test_a_name_or_a_size_as_first_argument_names_the_keyword(wrong: Any, remedy: str) -> None:
    before = set(shmtable.tables())
    with pytest.raises(TypeError, match=remedy):
        SharedDict(wrong)
    assert set(shmtable.tables()) == before


def test_unlinking_a_table_that_is_missing_tells_of_no_creation(name: str) -> None:
    with pytest.raises(NotFoundError, match=r"to remove: .* shmtable.tables\(\)") as raised:
        SharedDict.unlink(name)
    assert raised.value.errno == 2
    assert "create it" not in str(raised.value)


def test_a_snapshot_of_a_read_only_handle_names_copy(new: NEW) -> None:
    with SharedDict.open(new({"a": 1}).name, read_only=True) as reader:
        with pytest.raises(ReadOnlyError, match=r"a snapshot takes .* use copy\(\)"):
            reader.snapshot()
        assert reader.copy() == {"a": 1}


@pytest.mark.parametrize("asked", ["msgpack", "json"])
def test_another_codec_is_named_and_not_its_number(name: str, asked: Any) -> None:
    with SharedDict.create(name, capacity=10):
        opened: list[Callable[[], object]] = [
            lambda: SharedDict.open(name, codec=asked),
            lambda: SharedDict(name=name, codec=asked),
        ]
        for open_it in opened:
            with pytest.raises(shmtable.CodecMismatchError) as raised:
                open_it()
            assert f'has codec="pickle", and codec="{asked}" was asked for' in str(raised.value)
            assert "0x" not in str(raised.value)


# Tools


def test_the_types_of_all_arguments_can_be_had() -> None:
    for name, method in inspect.getmembers(SharedDict, inspect.isroutine):
        if getattr(method, "__module__", None) == "shmtable._dict":
            assert isinstance(typing.get_type_hints(method), dict), name
    assert "codec" in typing.get_type_hints(SharedDict.__init__)


def test_help_shows_the_defaults_of_arguments() -> None:
    text = pydoc.plain(pydoc.render_doc(SharedDict))
    assert "Ellipsis" not in text
    assert "add(self, /, key, n=1)" in text
    assert "pop(self, key, default=MISSING, /)" in text
    assert "update_value(self, /, key, function, default=MISSING)" in text


def test_the_version_is_the_one_that_is_installed() -> None:
    from importlib.metadata import version

    assert shmtable.__version__ == version("shmtable")


class Printer:
    """As much as is needed of IPython's: it prints on a line what fits on one."""

    def __init__(self) -> None:
        self.out = ""

    def text(self, text: str) -> None:
        self.out += text

    def breakable(self) -> None:
        self.out += "\n"

    def pretty(self, value: object) -> None:
        if isinstance(value, SharedDict):
            value._repr_pretty_(self, False)
        else:
            self.out += repr(value)

    def group(self, _indent: int, begin: str, end: str) -> Any:
        import contextlib

        @contextlib.contextmanager
        def group() -> Any:
            self.out += begin
            yield
            self.out += end

        return group()


def pretty(d: ANYTHING) -> str:
    printer = Printer()
    d._repr_pretty_(printer, False)
    return printer.out


def test_ipython_may_break_the_line_after_each_entry(new: NEW) -> None:
    d = new({"a": [1], "b": 2})
    d["c"] = Unloadable()
    lines = pretty(d).removeprefix("SharedDict({").removesuffix(f"}}, name={d.name!r})")
    assert sorted(line.removesuffix(",") for line in lines.split("\n")) == [
        "'a': [1]",
        "'b': 2",
        "'c': <ZeroDivisionError>",
    ]


def test_ipython_shows_up_to_twenty_entries(new: NEW) -> None:
    lines = pretty(new((number, number) for number in range(21))).split("\n")
    assert len(lines) == 21
    assert lines[-1].startswith("...}, name=")


def test_ipython_shows_a_table_that_holds_itself_and_ends(new: NEW) -> None:
    d = new()
    d["self"] = d
    assert pretty(d) == (
        f"SharedDict({{'self': SharedDict({{...}}, name={d.name!r})}}, name={d.name!r})"
    )


def test_ipython_shows_closed_handles_as_repr_does(new: NEW) -> None:
    d = new()
    d.close()
    assert pretty(d) == repr(d) == "<closed SharedDict>"


def test_ipython_completes_keys(new: NEW) -> None:
    d = new({"a": 1, 2: 2})
    assert set(d._ipython_key_completions_()) == {"a", 2}
    d = new(((number, number) for number in range(1100)), capacity=2000)
    assert len(d._ipython_key_completions_()) == 1000


# The documentation


@pytest.mark.parametrize("method", workers.METHODS)
def test_the_with_block_of_the_documentation_works(tmp_path: Path, method: str) -> None:
    guide = Path(__file__).parents[2] / "docs" / "python" / "lifetime.md"
    begin = "```python\nwith SharedDict() as d:"
    (block,) = [
        begin.removeprefix("```python\n") + rest.split("```")[0]
        for rest in guide.read_text().split(begin)[1:]
    ]
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing
from multiprocessing import Process
from shmtable import SharedDict

def f(d):
    d['done'] = 42

if __name__ == "__main__":
    multiprocessing.set_start_method({method!r})
"""
        + "".join(f"    {line}\n" for line in block.splitlines())
        + "        print(d['done'])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=workers.GUARD
    )
    assert (done.stdout, done.stderr) == ("42\n", "")
