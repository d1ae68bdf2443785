"""Do the programs of the pages about Dask, data loaders and pandas print what the pages show?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import pages
import workers

# The programs of the other pages have tests of their own.
PROGRAMS = {
    "orders.py": "dask.md",
    "samples.py": "dataloader.md",
    "sales.py": "pandas.md",
    "columns.py": "pandas.md",
}
OTHERS = {"celery.md", "docker.md", "fastapi.md", "gunicorn.md"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_what_its_page_shows(program: str, tmp_path: Path) -> None:
    pages.Page(PROGRAMS[program], tmp_path).try_program(program)


def test_every_page_is_tested() -> None:
    assert {page.name for page in pages.FOLDER.glob("*.md")} == {*PROGRAMS.values(), *OTHERS}


def test_samples_for_which_there_is_no_room_are_decoded_again(tmp_path: Path) -> None:
    page = pages.Page("dataloader.md", tmp_path)
    program = tmp_path / "samples.py"
    # Room for nearly two hundred.
    few = "SharedDict(max_bytes=10_000_000)"
    smaller = page.files["samples.py"].replace("SharedDict()", few)
    assert few in smaller
    program.write_text(smaller)
    lines = workers.output(str(program), cwd=tmp_path).splitlines()
    loaded, decoded = zip(*[(int(words[3]), int(words[5])) for words in map(str.split, lines)])
    assert loaded == (400, 400, 400)
    assert decoded[0] == 400
    assert 300 >= decoded[1] - 400 >= decoded[2] - decoded[1] >= 150
