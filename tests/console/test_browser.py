"""The console in a real browser: no barriers, nothing that others wrote is run, and it fits a phone.

The pictures of docs/console.md are made here, by `make screenshots`.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from axe_playwright_python.sync_playwright import Axe
from faking.cloud import BUCKET, REGION, TABLE
from faking.cloud import cloud as a_cloud
from faking.console_scene import Scene
from faking.console_server import served
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_console.access import Access
from batchdrop_console.pages import Console, tell

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESK = {"width": 320, "height": 640}, {"width": 1180, "height": 900}
WAIT = 60_000  # milliseconds: the machine may be busy
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
def access(scene: Scene) -> Iterator[Access]:
    session = boto3.Session(region_name=REGION)
    title = "stack batchdrop in eu-central-1"
    users = UsersCloud(title=title, is_local=True, bucket=BUCKET, table=TABLE, session=session, tell=tell)
    _ = users.s3, users.store, users.events
    console = Console(cloud=users, may_write=True, log=lambda _: None, now=lambda: scene.now)
    with served(console) as way_in:
        yield way_in


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found is not None, "There is no Chromium here: install it with `make chromium`."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, access: Access) -> Iterator[Any]:
    """The cookies of a browser that opened the printed address."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(access.url)
    expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible(timeout=WAIT)
    yield context.storage_state()
    context.close()


@pytest.fixture
def open_page(chromium: Browser, access: Access, signed_in: Any, scene: Scene) -> Iterator[Any]:
    """Open a page of the console by its name, or its address."""
    contexts: list[BrowserContext] = []

    def open_(name: str, **options: Any) -> Page:
        context = chromium.new_context(storage_state=signed_in, **({"viewport": DESK} | options))
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.goto(access.address + PAGES.get(name, name).format(**scene.jobs))
        if name in {"jobs", "costs"}:  # their facts follow
            expect(page.locator(".cost b, .cost .small, .tile").first).to_be_visible(timeout=WAIT)
        return page

    yield open_
    for each in contexts:
        each.close()


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barrier_and_fits_a_phone(open_page: Any, name: str, scheme: str) -> None:
    page = open_page(name, color_scheme=scheme, viewport=PHONE)
    assert (barriers(page), overflow(page)) == ([], 0)


SHOTS = Path(os.environ.get("BATCHDROP_SCREENSHOTS", ""))
PICTURES = {
    "jobs-light": ("jobs", {"color_scheme": "light"}),
    "jobs-dark": ("jobs", {"color_scheme": "dark"}),
    "jobs-phone": ("jobs", {"color_scheme": "light", "viewport": {"width": 390, "height": 844}}),
    "job-light": ("running", {"color_scheme": "light"}),
    "job-dark": ("running", {"color_scheme": "dark"}),
    "job-phone": ("running", {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}),
    "finished-light": ("finished", {"color_scheme": "light"}),
    "costs-light": ("costs", {"color_scheme": "light"}),
    "costs-dark": ("costs", {"color_scheme": "dark"}),
    "providers-light": ("providers", {"color_scheme": "light"}),
    "results-light": ("results", {"color_scheme": "light"}),
    "drop-light": ("drop", {"color_scheme": "light"}),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_screenshot(open_page: Any, picture: str, tmp_path: Path) -> None:
    name, options = PICTURES[picture]
    page = open_page(name, **options)
    path = (SHOTS if SHOTS.name else tmp_path) / f"{picture}.png"
    page.screenshot(path=path)
    assert path.stat().st_size > 0
