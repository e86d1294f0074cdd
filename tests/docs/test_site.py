"""The documentation site: what its check finds, its navigation, and that its search splits Chinese text."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import regex

from tools.site.check import check_site

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
PAGES = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
# The index of the decisions lists them.
NOT_IN_NAVIGATION = re.compile(r"decisions/\d{4}-.*")
GOOD_PAGE = """\
<link rel="stylesheet" href="../main.css"><link rel="canonical" href="https://docs.example/">
<h1 id="微调">微调</h1><a href="#%E5%BE%AE%E8%B0%83">up</a><a href="../index.html#top">home</a>
<a href="https://host.example/">further reading</a><img src="data:image/png;base64,AA"><script src="/a.js"></script>
"""


def write_site(
    folder: Path, page: str, style: str = "a { mask: url(data:image/svg+xml;charset=utf-8,x) }"
) -> Path:
    """Write a site of two pages, one of them given."""
    (folder / "guide").mkdir(parents=True)
    (folder / "index.html").write_text('<p id="top"></p>', encoding="utf-8")
    (folder / "guide" / "page.html").write_text(page, encoding="utf-8")
    (folder / "main.css").write_text(style, encoding="utf-8")
    (folder / "a.js").write_text("", encoding="utf-8")
    return folder


def navigation(entries: Any) -> Iterator[str]:
    """Yield the pages of a navigation, from the first to the last."""
    if isinstance(entries, str):
        yield entries
        return
    for entry in entries.values() if isinstance(entries, dict) else entries:
        yield from navigation(entry)


def test_a_site_without_faults_passes(tmp_path: Path) -> None:
    assert check_site(write_site(tmp_path / "site", GOOD_PAGE)) == []


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ('<a href="no.html">', "links to no.html, which is not in the site"),
        ('<a href="../index.html#no">', "links to ../index.html#no, which has no such heading"),
        ('<a href="#no">', "links to #no, which has no such heading"),
        ('<a href="../../outside.txt">', "links to ../../outside.txt, which is not in the site"),
        ('<a href="..">', "links to .., which is not in the site"),
        ('<script src="https://host.example/a.js"></script>', "loads https://host.example/a.js"),
        ('<img src="//host.example/a.png">', "loads //host.example/a.png"),
        ('<img srcset="../a.js, http://host.example/b.png 2x">', "loads http://host.example/b.png"),
        ('<link rel="stylesheet" href="https://host.example/a.css">', "loads https://host.example/a.css"),
        ('<link rel="preconnect" href="https://host.example">', "loads https://host.example"),
        ('<p style="background: url(https://host.example/b.png)">', "loads https://host.example/b.png"),
        ('<img src="no.png">', "loads no.png"),
    ],
)
def test_a_fault_of_a_page_is_found(tmp_path: Path, part: str, fault: str) -> None:
    (tmp_path / "outside.txt").write_text("", encoding="utf-8")
    site = write_site(tmp_path / "site", GOOD_PAGE + part)
    assert check_site(site) == [f"guide/page.html: {fault}"]


@pytest.mark.parametrize(
    "style", ["@import 'https://host.example/a.css';", 'a { mask: url("https://host.example/a.css") }']
)
def test_a_style_sheet_that_loads_another_host_is_found(tmp_path: Path, style: str) -> None:
    site = write_site(tmp_path / "site", GOOD_PAGE, style)
    assert check_site(site) == ["main.css: loads https://host.example/a.css"]


def test_a_site_without_pages_is_a_fault(tmp_path: Path) -> None:
    assert check_site(tmp_path)


def test_the_navigation_has_every_page_once() -> None:
    named = [*navigation(SITE["nav"])]
    assert len(named) == len({*named})
    assert {*named} == {page for page in PAGES if not NOT_IN_NAVIGATION.fullmatch(page)}


def test_no_page_links_out_of_the_site() -> None:
    out = []
    for page in PAGES:
        text = re.sub(
            r"^```.*?^```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
        )
        links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", link)]
        out += [
            (page, link)
            for link in links
            if not (DOCS / page).parent.joinpath(link).resolve().is_relative_to(DOCS)
        ]
    assert out == []


def test_both_languages_have_the_same_pages() -> None:
    folders = {page.parent for page in DOCS.rglob("zh-CN/*.md")}
    assert folders
    for folder in folders:
        assert {page.name for page in folder.glob("*.md")} == {
            page.name for page in folder.parent.glob("*.md")
        }, folder


def test_search_splits_chinese_into_characters_and_nothing_else() -> None:
    def words(text: str) -> list[str]:
        # As the search of the site: a match without width separates too.
        return [word for word in regex.split(SITE["plugins"]["search"]["separator"], text) if word]

    assert words("微调 LoRA模型：max-steps") == ["微", "调", "LoRA", "模", "型", "max", "steps"]
    assert words("torch 2.13, a.b") == ["torch", "2.13", "a", "b"]


def test_the_theme_brings_its_own_fonts_and_worker() -> None:
    assert SITE["theme"]["font"] is False
    theme = ROOT / SITE["theme"]["custom_dir"]
    assert [(theme / script).is_file() for script in SITE["extra"]["polyfills"]] == [True]
