"""A reader types the commands of docs/, page by page, in a folder where a file reviews.jsonl lies."""

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.conftest import COMMAND
from faking.readme import ROOT

from batchdrop_cli.state_dir import own_state_dir

if TYPE_CHECKING:
    from e2e.conftest import Behind

pytestmark = pytest.mark.e2e

TYPED = ("deadlines", "exit-codes", "fallback", "reading-results", "retries", "structured-answers", "tables")
NOT_TYPED = {
    "console": "it serves pages until it is stopped: tests/console",
    "operations": "on AWS",
    "providers": "another cloud, with providers of its own: test_own_providers.py",
    "restore": "on AWS; reconcile is called by test_restarts.py",
}
MISTAKES = (  # an answer, an answer that its limit cuts off, and two lines that cannot be sent
    b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"yes or no?"}]}\n'
    b'{"model":"gpt-4o-mini","max_tokens":1,"messages":[{"role":"user","content":"a long story"}]}\n'
    b'{"model":"gpt-4o-mini"}\n'
    b"no JSON\n"
)
REVIEW = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Read on page %b: yes or no?"}]}\n'
SOME_FAILED = 3
ENDS_WITH = {
    "batchdrop retry JOB": SOME_FAILED,
    "batchdrop retry JOB fixed.jsonl": SOME_FAILED,
    "batchdrop results JOB --with-retries": SOME_FAILED,
}


def commands(page: str) -> list[str]:
    """The lines of a page that call `batchdrop`, and those that say what to do between them."""
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix(".venv/bin/") for line in lines if re.match(r"(\.venv/bin/)?batchdrop |# ", line)]


def test_every_page_that_shows_commands_is_typed_or_says_why_not() -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {page for page in pages if commands(page)} == {*TYPED, *NOT_TYPED}


@pytest.fixture
def folders(behind: "Behind", cloud_dir: Path, tmp_path: Path) -> Path:
    """A folder for each page, whose local cloud is the one that all tests share."""
    behind.up()
    own_state_dir(cloud_dir)
    for page in TYPED:
        folder = tmp_path / page
        folder.mkdir()
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / ".local").symlink_to(cloud_dir)
        (folder / "reviews.jsonl").write_bytes(REVIEW % page.encode())
    return tmp_path


def test_the_commands_of_the_pages_do_what_they_say(folders: Path) -> None:
    with ThreadPoolExecutor() as readers:
        ended = list(readers.map(lambda page: list(typed(page, folders / page)), TYPED))
    assert [each for page in ended for each in page if each] == []


def typed(page: str, folder: Path) -> Iterator[tuple[str, int, str]]:
    """What ended otherwise than the page lets expect: the command, its exit code and its last words."""
    job = dropped(folder) if any("JOB" in line for line in commands(page)) else ""
    for line in commands(page):
        if line.startswith("# raise max_tokens"):
            path = folder / "longer.jsonl"
            path.write_bytes(path.read_bytes().replace(b'"max_tokens":1', b'"max_tokens":1000'))
        else:
            done = shell(line.replace("JOB", job), folder)
            if done.returncode != ENDS_WITH.get(line, 0):
                yield f"{page}: {line}", done.returncode, (done.stdout + done.stderr)[-600:]


def dropped(folder: Path) -> str:
    (folder / "mistakes.jsonl").write_bytes(MISTAKES)
    job = shell("batchdrop put mistakes.jsonl", folder).stdout.strip()
    assert shell(f"batchdrop wait {job}", folder).returncode == SOME_FAILED
    return job


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
