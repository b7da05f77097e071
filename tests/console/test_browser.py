"""The console in a real browser: no barriers, nothing that others wrote is run, and it fits a phone.

The pictures of docs/console.md are made here, by `make screenshots`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from axe_playwright_python.sync_playwright import Axe
from batchdrop.manifest import Files
from batchdrop.outputs.report import render_report
from batchdrop.states import BatchState
from faking.cloud import BUCKET, REGION, TABLE, jsonl
from faking.cloud import cloud as a_cloud
from faking.console_scene import PAYLOADS, Scene
from faking.console_server import served
from faking.lines import capped
from faking.outputs import a_manifest
from faking.rows import NOW, a_batch, a_job
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_console.access import Access
from batchdrop_console.pages import Console, notify

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FEW_PROCESSES = ["--in-process-gpu", "--renderer-process-limit=1"]
PHONE, DESK = {"width": 320, "height": 640}, {"width": 1180, "height": 900}
SHOTS = os.environ.get("BATCHDROP_SCREENSHOTS")  # of a console that only reads, as it is by default
WAIT = 180_000  # milliseconds: the machine may be busy
expect.set_options(timeout=WAIT)
PAGES = {
    "jobs": "/",
    "running": "/jobs/{running}?still=1",
    "finished": "/jobs/{nightly}",
    "held": "/jobs/{held}?still=1",
    "failed": "/jobs/{failed}",
    "hostile": "/jobs/{hostile}",
    "results": "/jobs/{nightly}/results?texts=1",
    "ask": "/jobs/{running}/cancel",
    "costs": "/costs",
    "providers": "/providers",
    "drop": "/drop",
    "none": "/jobs/none",
}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with a_cloud() as made:
        yield Scene(made).build()


@pytest.fixture(scope="module")
def console(scene: Scene) -> Console:
    session = boto3.Session(region_name=REGION)
    title = "stack batchdrop in eu-central-1"
    users = UsersCloud(title=title, is_local=True, bucket=BUCKET, table=TABLE, session=session, notify=notify)
    _ = users.s3, users.store, users.events
    return Console(cloud=users, may_write=SHOTS is None, log=lambda _: None, now=lambda: scene.now)


@pytest.fixture(scope="module")
def access(console: Console) -> Iterator[Access]:
    with served(console) as way_in:
        yield way_in


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found is not None, "There is no Chromium here: install it with `make chromium`."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FEW_PROCESSES)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, access: Access) -> Iterator[Any]:
    """The cookies of a browser that opened the printed address."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(access.url)
    expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()
    yield context.storage_state()
    context.close()


@dataclass
class Heard:
    """What pages asked for and complained of."""

    urls: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("request", lambda request: self.urls.add(request.url.partition("?")[0]))
        page.on("console", lambda line: self.violations.append(line.text) if "Security Policy" in line.text else None)
        page.on("dialog", lambda dialog: self.violations.append(dialog.message))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def open_page(heard: Heard, chromium: Browser, access: Access, signed_in: Any, scene: Scene) -> Iterator[Any]:
    """Open a page of the console by its name, or its address."""
    contexts: list[BrowserContext] = []

    def open_(name: str, **options: Any) -> Page:
        context = chromium.new_context(storage_state=signed_in, **({"viewport": DESK} | options))
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        heard.listen(page)
        page.goto(access.address + PAGES.get(name, name).format(**scene.jobs))
        if name in {"jobs", "costs"}:  # their facts follow
            expect(page.locator(".cost b, .cost .small, .tile").first).to_be_visible()
        return page

    yield open_
    for each in contexts:
        each.close()
    assert (heard.violations, [url for url in heard.urls if not url.startswith(access.address)]) == ([], [])


def overflow(page: Page) -> int:
    """How many pixels a page is wider than its window."""
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


def barriers(page: Page) -> list[str]:
    """What axe finds that is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['target']}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barrier_by_day_and_by_night_and_fits_a_phone(open_page: Any, name: str) -> None:
    page = open_page(name, viewport=PHONE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert (barriers(page), overflow(page)) == ([], 0)


def test_a_lanes_words_end_within_the_picture_on_a_phone_and_each_wait_is_named(open_page: Any) -> None:
    page = open_page("running", viewport=PHONE)
    lanes = page.locator(".timeline .lane")
    ends = lanes.evaluate_all("found => found.map((each) => each.getBoundingClientRect().right)")
    assert max(ends) <= page.locator(".timeline > svg").evaluate("each => each.getBoundingClientRect().right") + 1
    waiting = (
        "waiting: position 1 of 1 in queue openai/gpt-4o-mini; needs 767,000 tokens, 1,640,000 of 2,000,000 in use"
    )
    expect(lanes.nth(2)).to_have_text(f"gpt-4o-mini · 5,900 requests {waiting}")
    expect(lanes.nth(1)).to_have_text(re.compile(r"at the provider: its end, [0-9: -]+ UTC at the latest$"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_has_no_barrier_fits_a_phone_and_is_text(
    chromium: Browser, heard: Heard, tmp_path: Path, scheme: Any
) -> None:
    name = "".join(PAYLOADS)
    manifest = a_manifest("j", Files(results=[], errors=None, failed=None), reason=name)
    sent = {"model": name, "submitted_at": NOW + 60, "ended_at": NOW + 800}
    batches = [a_batch(0, BatchState.COLLECTED, **sent), a_batch(1, BatchState.FAILED, **sent)]
    path = tmp_path / "report.html"
    path.write_bytes(render_report(manifest, a_job(published_at=NOW + 900), batches, None))
    page = chromium.new_page(viewport=PHONE, color_scheme=scheme)
    heard.listen(page)
    page.goto(path.as_uri())
    assert (barriers(page), overflow(page)) == ([], 0)
    assert (page.title(), heard.violations, heard.urls) == ("reviews.jsonl: report of job j", [], {path.as_uri()})
    page.close()


HOSTILE = (
    "/",
    "/?text=script",
    "/jobs/{hostile}",
    "/jobs/{hostile}/results?texts=1",
    "/jobs/{hostile}/retry",
    "/costs",
)


@pytest.mark.parametrize("path", HOSTILE)
def test_what_others_wrote_is_text(open_page: Any, path: str) -> None:
    page = open_page(path)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.querySelectorAll('main *').forEach((each) => each.dispatchEvent(new Event('mouseover')))")
    assert "owned" not in page.title()
    assert page.locator("main img, main script, main [onerror], main [onmouseover], a[href^=javascript]").count() == 0


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_is_shown_as_it_was_written(open_page: Any, payload: str) -> None:
    page = open_page("/jobs/{hostile}/results?texts=1")
    expect(page.locator("pre", has_text=payload).first).to_be_visible()


def test_it_is_used_by_keyboard(open_page: Any, scene: Scene) -> None:
    page = open_page("jobs")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.locator(f"#open-{scene.jobs['running']}").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("shop/catalogue-translation.jsonl")
    page.locator("summary", has_text="The same as a table").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="The timeline as a table")).to_be_visible()


def test_a_list_that_is_renewed_keeps_the_focus_where_it_is(open_page: Any, scene: Scene) -> None:
    page = open_page("jobs")
    link = page.locator(f"#open-{scene.jobs['held']}")
    link.focus()
    with page.expect_response(lambda answer: urlsplit(answer.url).path == "/jobs"):
        pass
    expect(link).to_be_focused()


def test_a_table_that_was_opened_stays_open_when_the_page_is_renewed(open_page: Any) -> None:
    page = open_page("/jobs/{running}")
    page.locator("summary", has_text="The same as a table").click()
    for _ in range(2):
        with page.expect_response(lambda answer: answer.url.endswith("/live")):
            pass
    expect(page.get_by_role("region", name="The timeline as a table")).to_be_visible()


def drag(page: Page, path: Path, corner: int) -> None:
    """Drag a file onto a corner of the zone, as a file manager does."""
    box = page.locator(".zone").bounding_box()
    assert box is not None
    right, below = corner % 2, corner // 2
    at = {"x": box["x"] + 4 + right * (box["width"] - 8), "y": box["y"] + 4 + below * (box["height"] - 8)}
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    browser = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.send("Input.dispatchDragEvent", {"type": kind, "data": data, **at})


def quote_file(page: Page, folder: str = "browser") -> None:
    page.get_by_label("Folder below input/").fill(folder)
    page.get_by_role("button", name="Check and quote").click()
    expect(page.get_by_role("heading", name="Send it?")).to_be_visible()


@pytest.mark.parametrize("corner", range(4))
def test_a_file_is_dragged_anywhere_into_the_zone(open_page: Any, tmp_path: Path, corner: int) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(jsonl([capped("q", "r")]))
    page = open_page("drop")
    drag(page, path, corner)
    quote_file(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("browser/mine.jsonl")


def test_a_file_is_checked_and_quoted_before_it_is_sent(open_page: Any, scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(jsonl([capped("q", "r"), b"{bad"]))
    page = open_page("drop", viewport=PHONE)
    page.get_by_label("Drag a file here").set_input_files(path)
    quote_file(page)
    expect(page.get_by_text("1 line: invalid_json (line 2)")).to_be_visible()
    assert (barriers(page), overflow(page)) == ([], 0)
    page.get_by_role("button", name="Send it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dropped")
    assert (barriers(page), overflow(page)) == ([], 0)
    job = urlsplit(page.url).path.removeprefix("/jobs/")
    scene.add(a_job(job=job, bucket=BUCKET, key="input/browser/mine.jsonl"))
    expect(page.get_by_role("heading", level=1)).to_have_text("browser/mine.jsonl")
    expect(page.get_by_text("The file was dropped as this job.")).to_be_visible()


MOBILE = {"viewport": {"width": 390, "height": 844}}
PICTURES = {
    "jobs-light": ("jobs", {}),
    "jobs-phone": ("jobs", MOBILE),
    "job-light": ("running", {}),
    "job-phone": ("running", {"color_scheme": "dark"} | MOBILE),
    "results-light": ("results", {}),
    "costs-dark": ("costs", {"color_scheme": "dark"}),
    "providers-light": ("providers", {}),
}

if SHOTS is not None:

    @pytest.mark.parametrize("picture", PICTURES)
    def test_screenshot(open_page: Any, picture: str) -> None:
        name, options = PICTURES[picture]
        page = open_page(name, **options)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=Path(str(SHOTS)) / f"{picture}.png")

    def test_screenshot_of_a_drop(chromium: Browser, console: Console, tmp_path: Path) -> None:
        path, asked = (
            tmp_path / "catalogue-translation.jsonl",
            "Translate into Finnish: " + "a warm coat of wool. " * 40,
        )
        lines = [capped(f"{number}. {asked}", f"item-{number}") for number in range(4_000)]
        path.write_bytes(jsonl([*lines[:2_000], b"{bad", {"model": "gpt-4o-mini"}, *lines[2_000:]]))
        with served(replace(console, may_write=True)) as way_in:
            page = chromium.new_page(viewport=DESK | {"height": 960})
            page.goto(way_in.url)
            expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()
            page.goto(f"{way_in.address}/drop")
            drag(page, path, 0)
            quote_file(page, "shop")
            page.screenshot(path=Path(str(SHOTS)) / "drop-light.png")
            page.close()
