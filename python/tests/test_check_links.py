"""Does the check of the documentation's links find each kind of bad link?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / "xtask" / "docs-site" / "check_links.py"


def check(site: Path) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, CHECK, site], capture_output=True, text=True, check=False
    )
    return finished.returncode, finished.stdout + finished.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "page.html").write_text('<a href="../index.html#top">up</a>')
    (tmp_path / "style.css").write_text("")
    (tmp_path / "index.html").write_text(
        '<link href="style.css"><h1 id="top">A</h1><a href="part/page.html">B</a>'
        '<a href="#top">C</a><a href="https://example.org/x#y">D</a><a href="/style.css">E</a>'
    )
    return tmp_path


def test_good_links_are_counted(site: Path) -> None:
    assert check(site) == (0, "6 links checked, 0 bad\n")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('<a href="gone.html">', "links to gone.html, which isn't there"),
        ('<a href="../index.html#gone">', "index.html has no such anchor"),
        ('<a href="#gone">', "part/page.html has no such anchor"),
        ('<img src="gone.svg">', "links to gone.svg, which isn't there"),
        ('<a href="../..">', "which isn't there"),
        ('<script src="https://example.org/x.js">', "loads https://example.org/x.js from another"),
        ('<link href="//example.org/x.css">', "loads //example.org/x.css from another"),
    ],
)
def test_a_bad_link_fails(site: Path, bad: str, reason: str) -> None:
    page = site / "part" / "page.html"
    page.write_text(page.read_text() + bad)
    status, said = check(site)
    assert status == 1
    assert reason in said
    assert "part/page.html" in said and "7 links checked, 1 bad" in said


def test_a_site_without_links_fails(tmp_path: Path) -> None:
    status, said = check(tmp_path)
    assert status == 1
    assert f"no links in {tmp_path}" in said
