"""Do the programs of the documentation run, and print what it shows?

A program is a block of Python with a file name as its title. The block after it, titled
"output", is all that it prints. The guide has no other Python, so nothing in it is untried;
the pages about Python also have fragments without a title.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import workers

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted((DOCS / "guide" / "python").glob("*.md"))
REFERENCE = sorted((DOCS / "python").glob("*.md"))
FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs(page: Path) -> dict[str, tuple[str, str]]:
    """The programs of a page by file name, each with the output that the page shows."""
    found = {}
    blocks = FENCE.findall(page.read_text())
    for place, (language, title, text) in enumerate(blocks):
        if language == "python" and (title or page not in REFERENCE):
            assert title.endswith(".py"), f"{page.name} has Python that isn't a program:\n{text}"
            language, heading, output = blocks[place + 1]
            assert (language, heading) == ("text", "output"), f"{page.name}: {title} has no output"
            found[title] = (text, output)
    return found


PROGRAMS = {
    f"{page.stem}/{title}": program
    for page in [DOCS / "index.md", *PAGES, *REFERENCE]
    for title, program in programs(page).items()
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_what_its_page_shows(name: str, tmp_path: Path) -> None:
    text, output = PROGRAMS[name]
    script = tmp_path / name.rpartition("/")[2]
    script.write_text(text)
    finished = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=workers.GUARD,
        check=False,
    )
    assert (finished.stdout, finished.stderr) == (output, "")
    assert finished.returncode == 0


def test_every_page_has_a_program() -> None:
    assert len(PAGES) == 10
    assert [page.name for page in [DOCS / "index.md", *PAGES] if not programs(page)] == []
    # A block that the expression above doesn't know would be left out.
    for page in PAGES:
        assert page.read_text().count("```") == 2 * len(FENCE.findall(page.read_text())), page
