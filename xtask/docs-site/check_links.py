"""Checks the links of a built site: `check_links.py FOLDER`.

Every link to a page, a picture, a script or a heading must lead to something that is in the folder.
Pages must load nothing from other machines, so that the site can be read offline.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a page loads by itself, beside what a reader may click on.
LOADED = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}
# Other attributes that hold an address.
ADDRESSES = ("href", "src", "poster", "data")


class Page(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name in ADDRESSES and not (name == "data" and tag != "object"):
                self.links.append((tag, value))


def problem(site: Path, pages: dict[Path, Page], page: Path, tag: str, link: str) -> str | None:
    """Says what is wrong with one link of a page, if anything is."""
    parts = urlsplit(link)
    if parts.scheme in ("data", "mailto"):
        return None
    if parts.scheme or parts.netloc:
        return f"loads {link} from another machine" if tag in LOADED else None
    if parts.path.startswith("/"):
        # The page that a server shows for what isn't there is the same at any depth.
        target = site / unquote(parts.path).lstrip("/")
    else:
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"links to {link}, which isn't there"
    if not target.is_relative_to(site):
        return f"links to {link}, outside the site"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return f"links to {link}, but {target.relative_to(site)} has no such anchor"
    return None


def check(site: Path) -> tuple[int, list[str]]:
    """Counts the links of a site, and lists the bad ones."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    links = [(path, tag, link) for path, page in pages.items() for tag, link in page.links]
    problems = [
        f"{path.relative_to(site)} {wrong}"
        for path, tag, link in links
        if (wrong := problem(site, pages, path, tag, link))
    ]
    return len(links), problems


def main() -> int:
    site = Path(sys.argv[1]).resolve()
    count, problems = check(site)
    for line in problems:
        print(line, file=sys.stderr)
    if count == 0:
        print(f"no links in {site}", file=sys.stderr)
    print(f"{count} links checked, {len(problems)} bad")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
