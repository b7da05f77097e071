"""The documentation's site: each page has its place, each link leads somewhere, and nothing comes from elsewhere."""

import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from importlib import util
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from faking.readme import ROOT

BUILD = ROOT / "docs/site/build.py"


def _program() -> ModuleType:
    spec = util.spec_from_file_location("build_site", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = _program()
ON_SITE = {"docs/a.md": "a.md", "docs/b/c.md": "b/c.md", "README.md": "index.md", "docs/b": "b/index.md"}


class Page(HTMLParser):
    """What a built page links to, what it fetches, and what in it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.headings = {"__top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value for name, value in attrs if value is not None}
        self.headings.add(has.get("id", "__top"))
        if tag == "a" and "href" in has:
            self.links.append(has["href"])
        elif tag in {"link", "script", "img", "iframe"}:
            self.fetched += [has[name] for name in ("href", "src") if name in has]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    built = subprocess.run([sys.executable, BUILD, folder], check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "public"


@pytest.fixture(scope="module")
def read(public: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in sorted(public.rglob("*.html"))}


@pytest.mark.parametrize(
    ("path", "link", "becomes"),
    [
        ("docs/a.md", "[C](b/c.md#h)", "[C](b/c.md#h)"),
        ("docs/b/c.md", "[A](../a.md)", "[A](../a.md)"),
        ("docs/b/c.md", "[all](../../README.md)", "[all](../index.md)"),
        ("README.md", "[A](docs/a.md#x)", "[A](a.md#x)"),
        ("README.md", "[list](docs/b)", "[list](b/index.md)"),
        ("docs/a.md", "[`test_a`](../tests/test_a.py)", "`test_a`"),
        ("docs/a.md", "[here](#h)", "[here](#h)"),
        ("docs/a.md", "[out](https://example.org/a.py)", "[out](https://example.org/a.py)"),
        ("docs/a.md", "```\n[kept](../tests/test_a.py)\n```", "```\n[kept](../tests/test_a.py)\n```"),
    ],
)
def test_a_link_leads_to_its_page_and_one_to_code_becomes_text(path: str, link: str, becomes: str) -> None:
    assert build.page(path, link, ON_SITE) == becomes


def test_every_page_has_its_place_in_the_navigation() -> None:
    project = tomllib.loads(build.CONFIG.read_text("utf-8"))["project"]
    shown = [where for _, _, where in build.nav(project["nav"])]
    pages = {place for place in build.places().values() if place.endswith(".md") and not _is_listed(place)}
    assert sorted(shown) == sorted(pages | {"decisions/index.md", "schemas/index.md"})


def _is_listed(place: str) -> bool:
    return place.split("/", maxsplit=1)[0] in {"decisions", "schemas", "policies"}


def test_every_page_lies_beside_its_html_and_llms_txt_lists_those_of_the_navigation(public: Path) -> None:
    listed = re.findall(r"\]\(([^)]+)\)", (public / "llms.txt").read_text("utf-8"))
    assert [name for name in listed if not (public / name).is_file()] == []
    pages = {place for place in build.places().values() if place.endswith(".md")}
    assert [place for place in sorted(pages) if not (public / place).is_file()] == []


def test_every_link_of_the_built_pages_leads_somewhere(public: Path, read: dict[Path, Page]) -> None:
    dead = [
        f"{path.relative_to(public)}: {link}"
        for path, page in read.items()
        for link in page.links
        if path.name != "404.html" and not _is_there(public, path, link, read)
    ]
    assert dead == []


def test_no_page_fetches_anything_from_elsewhere(read: dict[Path, Page]) -> None:
    assert {url for page in read.values() for url in page.fetched if "://" in url} == set()


def _is_there(public: Path, page: Path, link: str, read: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return True
    path, heading = unquote(parts.path), unquote(parts.fragment)
    to = Path(os.path.normpath(public / path.lstrip("/") if path.startswith("/") else page.parent / path))
    to = page if not path else to / "index.html" if to.is_dir() else to
    return to.is_file() and (not heading or heading in read[to].headings)
