"""The documentation as a site: `python docs/site/build.py [folder]`, by default `site/`, whose `public/` can be served.

Pages are those of `docs/`, the README and its neighbours, as they are, but for their links: one to code leads nowhere
on a site, and becomes its text. Each page lies beside its HTML as `.md`, too, and `llms.txt` lists them all.
"""  # noqa: INP001 - a program beside the files that it reads, no package

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CONFIG = HERE / "zensical.toml"
# Pages outside docs/, by their place on the site. GitHub looks for some of them at the top.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "examples/consumer/README.md": "examples/consumer.md",
}
# Folders that have no page of their own get a list.
LISTS = {"docs/decisions": "Decisions", "docs/schemas": "Schemas", "docs/policies": "Policies"}
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def places() -> dict[str, str]:
    """What is on the site: each file's or folder's path in the project, and its place."""
    files = [path for path in (ROOT / "docs").rglob("*") if path.suffix in {".md", ".json", ".png", ".ipynb"}]
    docs = {str(path.relative_to(ROOT)): str(path.relative_to(ROOT / "docs")) for path in sorted(files)}
    return docs | ELSEWHERE | {folder: f"{folder.removeprefix('docs/')}/index.md" for folder in LISTS}


def page(path: str, text: str, on_site: dict[str, str]) -> str:
    """A page's text with links that lead to the site's places, or, where these have none, to nothing."""
    parts = _FENCED.split(text)
    parts[::2] = [_LINK.sub(lambda link: _link(path, link, on_site), part) for part in parts[::2]]
    return "".join(parts)


def _link(path: str, link: re.Match[str], on_site: dict[str, str]) -> str:
    label, target = link.groups()
    if "://" in target or target.startswith(("#", "mailto:")):
        return link.group()
    file, _, heading = target.partition("#")
    place = on_site.get(os.path.normpath(Path(path).parent / file))
    if place is None:
        return str(label)
    leads = os.path.relpath(place, Path(on_site[path]).parent)
    return f"[{label}]({leads}{'#' * bool(heading)}{heading})"


def title(text: str) -> str:
    """The first heading of a page, without marks. ValueError where there is none."""
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"a page has no title; it begins with {text[:60]!r}")
    return found[1].replace("`", "")


def listing(folder: str) -> str:
    """A page that lists the files of a folder."""
    files = sorted(path for path in (ROOT / folder).iterdir() if path.suffix in {".md", ".json"})
    names = {path.name: title(path.read_text("utf-8")) if path.suffix == ".md" else path.name for path in files}
    return f"# {LISTS[folder]}\n\n" + "".join(f"- [{shown}]({name})\n" for name, shown in names.items())


def stage(pages: Path) -> None:
    """Write all pages, as the site's builder takes them."""
    on_site = places()
    for path, place in on_site.items():
        to = pages / place
        to.parent.mkdir(parents=True, exist_ok=True)
        if path in LISTS:
            to.write_text(listing(path), encoding="utf-8")
        elif to.suffix == ".md":
            to.write_text(page(path, (ROOT / path).read_text("utf-8"), on_site), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / path, to)


def nav(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Section, title and page of each entry of the site's navigation."""
    for entry in entries:
        for name, under in entry.items():
            if isinstance(under, str):
                yield "", name, under
            else:
                yield from ((name, question, where) for _, question, where in nav(under))


def llms_txt(pages: Path) -> str:
    """A list of all pages for programs that read, in the form of llmstxt.org."""
    project = tomllib.loads(CONFIG.read_text("utf-8"))["project"]
    lines = [f"# {project['site_name']}\n\n> {project['site_description']}\n"]
    last = ""
    for section, question, where in nav(project["nav"]):
        lines += [f"\n## {section}\n\n"] if section != last else []
        lines.append(f"- [{title((pages / where).read_text('utf-8'))}]({where}): {question}\n")
        last = section
    return "".join(lines)


def main(folder: Path) -> int:
    """Build the site. 1 where the builder warns, of a link that leads nowhere for example."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    stage(pages)
    shutil.copyfile(CONFIG, folder / CONFIG.name)
    built = subprocess.run(  # noqa: S603 - the builder that is installed with this interpreter
        [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(folder / CONFIG.name)], check=False
    )
    shutil.copytree(pages, folder / "public", dirs_exist_ok=True)
    (folder / "public/llms.txt").write_text(llms_txt(pages), encoding="utf-8")
    return built.returncode


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:]) if sys.argv[1:] else ROOT / "site"))
