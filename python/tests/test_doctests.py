"""Do the examples in the docstrings run?"""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator

import pytest

import shmtable
from shmtable import SharedDict, aio
from shmtable._native import SharedDictBase

# `gc` is no part of `import *`.
PUBLIC = [*shmtable.__all__, "gc"]
# Of what has examples, so many at least: a docstring that was lost would not be missed.
LEAST_OBJECTS = 31
LEAST_EXAMPLES = 77


def documented() -> Iterator[tuple[str, str]]:
    """The public names that have a docstring, native methods too."""
    for name in ("", *PUBLIC):
        found = getattr(shmtable, name) if name else shmtable
        # What an instance has from its class is its class's.
        if isinstance(found, type) or inspect.isroutine(found) or inspect.ismodule(found):
            yield name or "shmtable", inspect.getdoc(found) or ""
    for name in ("", *aio.__all__):
        yield f"aio.{name}", inspect.getdoc(getattr(aio, name) if name else aio) or ""
    for kind in (SharedDict, SharedDictBase):
        for name in vars(kind):
            if not name.startswith("_"):
                yield f"SharedDict.{name}", inspect.getdoc(getattr(kind, name)) or ""


DOCUMENTED = dict(documented())
EXAMPLES = {name: text for name, text in DOCUMENTED.items() if ">>>" in text}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_docstring_run(name: str) -> None:
    names = {name: getattr(shmtable, name) for name in PUBLIC}
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], names, name, None, 0)
    assert test.examples
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
    assert runner.tries == len(test.examples)


def test_no_example_is_lost() -> None:
    parser = doctest.DocTestParser()
    count = sum(len(parser.get_examples(text)) for text in EXAMPLES.values())
    assert len(EXAMPLES) >= LEAST_OBJECTS
    assert count >= LEAST_EXAMPLES


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name, text in DOCUMENTED.items() if not text.strip()] == []


def test_native_methods_have_signatures() -> None:
    methods = [getattr(SharedDict, name) for name in vars(SharedDictBase) if name[0] != "_"]
    for method in filter(inspect.isroutine, methods):
        assert list(inspect.signature(method).parameters)[0] in ("self", "cls"), method
