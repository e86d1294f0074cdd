"""Check a built site: every link leads to a page and a heading that exist, and no page loads anything from elsewhere.

The site generator checks the links between Markdown pages; links to other files, and what its theme loads, it does not.
Run it with `python -m tools.site.check FOLDER`; it needs nothing but Python.
"""

import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script", "img", "iframe", "source", "audio", "video", "embed", "object", "track", "input"}
LINKED = {"a", "area", "link"}
# Relations of <link> that name an address without loading it.
NAMED_ONLY = {"canonical", "next", "prev", "alternate", "search"}


class Page(HTMLParser):
    """The anchors of a page, the addresses that it links to and those that it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag in LOADED:
            self.loads += [values[name] for name in ("src", "data", "poster") if name in values]
            self.loads += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]
        if tag in LINKED and "href" in values:
            is_loaded = tag == "link" and values.get("rel") not in NAMED_ONLY
            (self.loads if is_loaded else self.links).append(values["href"])
        self.loads += re.findall(r"url\(['\"]?([^'\")]+)", values.get("style", ""))
        self.loads = [address for address in self.loads if not address.startswith("data:")]


def check_site(site: Path) -> list[str]:
    """Return one line for each fault of a built site, in the order of its files."""
    site = site.resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        return [f"{site}: no page"]
    faults = []
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in dict.fromkeys(page.loads):
            if is_elsewhere(address) or not file_of(address, path, site).is_file():
                faults.append(f"{name}: loads {address}")
        for address in dict.fromkeys(page.links):
            if not is_elsewhere(address) and (fault := fault_of_link(address, path, pages, site)):
                faults.append(f"{name}: links to {address}, {fault}")
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"(?:url\(|@import\s+)['\"]?(?!data:)([^'\")\s]+)", text)
        faults += [f"{path.relative_to(site)}: loads {address}" for address in found if is_elsewhere(address)]
    return faults


def is_elsewhere(address: str) -> bool:
    """Tell whether an address leads out of the site, to another host or program."""
    return bool(re.match(r"//|[a-z][a-z+.-]*:", address, re.IGNORECASE))


def file_of(address: str, page: Path, site: Path) -> Path:
    """Return the file that an address of a page names; one that begins with a slash begins at the site."""
    path = unquote(urlsplit(address).path)
    if not path:
        return page
    base = site if path.startswith("/") else page.parent
    target = Path(os.path.normpath(base / path.lstrip("/")))
    return target / "index.html" if path.endswith("/") else target


def fault_of_link(address: str, page: Path, pages: dict[Path, Page], site: Path) -> str | None:
    """Return what is wrong with a link inside the site, or None."""
    target = file_of(address, page, site)
    if not target.is_relative_to(site) or not target.is_file():
        return "which is not in the site"
    anchor = unquote(urlsplit(address).fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "which has no such heading"
    return None


if __name__ == "__main__":
    if faults := check_site(Path(sys.argv[1])):
        sys.exit("\n".join(faults))
