"""The page of the documentation that the benchmarks write their tables into."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks-python.md"


def write(table: str, place: str, page: Path = PAGE) -> None:
    """Replaces the text between the two comments of a place."""
    begin, end = f"<!-- {place} -->\n", f"\n<!-- /{place} -->"
    text = page.read_text()
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    page.write_text(head + begin + table + end + tail)
