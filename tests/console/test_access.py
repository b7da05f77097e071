"""Who may see the console's pages, and who may change something."""

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from batchdrop_console.access import HEADERS, Access, refusal

if TYPE_CHECKING:
    from conftest import World

HOST = "127.0.0.1:8321"
OWN = {"host": HOST, "origin": f"http://{HOST}"}
HOSTS = Access(8321).hosts
ADDRESS = "This console has another address: open the one that the command printed."
OTHER_SITE = "Another site's page may not use this console."
NO_PAGE = "A change must come from a page of this console."
TOKEN = "a-token"


@pytest.mark.parametrize(
    ("method", "headers", "said"),
    [
        ("GET", {"host": HOST}, None),
        ("GET", {"host": "localhost:8321"}, None),
        ("GET", OWN, None),
        ("POST", OWN, None),
        ("POST", OWN | {"sec-fetch-site": "same-origin"}, None),
        ("GET", {}, ADDRESS),
        ("GET", {"host": "127.0.0.1"}, ADDRESS),
        ("GET", {"host": "127.0.0.1:8322"}, ADDRESS),
        ("GET", {"host": "rebound.example:8321"}, ADDRESS),
        ("GET", {"host": HOST, "origin": "https://other.example"}, OTHER_SITE),
        ("GET", {"host": HOST, "origin": "null"}, OTHER_SITE),
        ("POST", {"host": HOST}, NO_PAGE),
        ("DELETE", {"host": HOST}, NO_PAGE),
        ("POST", {"host": HOST, "origin": "http://127.0.0.1:9999"}, OTHER_SITE),
        ("POST", {"host": HOST, "origin": "http://localhost:8321"}, OTHER_SITE),
        ("POST", {"host": HOST, "origin": f"https://{HOST}"}, OTHER_SITE),
        ("POST", OWN | {"sec-fetch-site": "cross-site"}, OTHER_SITE),
        ("POST", OWN | {"sec-fetch-site": "same-site"}, OTHER_SITE),
    ],
)
def test_a_request_is_refused_that_no_page_of_the_console_makes(
    method: str, headers: dict[str, str], said: str | None
) -> None:
    assert refusal(method, headers, HOSTS) == said


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/x", "/jobs/x/files/results.jsonl", "/costs", "/drop", "/nope"])
def test_nothing_is_shown_without_the_cookie(world: "World", path: str) -> None:
    with world.outside(world.console()) as client:
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (
            403,
            "Open the address that `batchdrop console` printed; it opens once. For another browser, start it again.\n",
        )
        assert client.get(path, headers={"cookie": "batchdrop_console_8321=guessed"}).status_code == 403


def test_the_token_opens_once_and_becomes_a_cookie_that_no_script_and_no_other_site_has(world: "World") -> None:
    with world.outside(world.console()) as client:
        wrong = client.get("/enter", params={"token": "another"})
        right = client.get("/enter", params={"token": TOKEN})
        assert (wrong.status_code, right.status_code, client.get("/").status_code) == (403, 200, 200)
        assert "set-cookie" not in wrong.headers
        name, *flags = right.headers["set-cookie"].split("; ")
        assert name.startswith("batchdrop_console_8321=")
        assert TOKEN not in name
        assert flags == ["HttpOnly", "Path=/", "SameSite=strict"]
        client.cookies.clear()
        assert client.get("/enter", params={"token": TOKEN}).status_code == 403


def test_a_head_request_does_not_use_the_token_up(world: "World") -> None:
    with world.outside(world.console()) as client:
        client.head("/enter", params={"token": TOKEN})
        assert client.get("/enter", params={"token": TOKEN}).status_code == 200


def test_a_host_that_was_rebound_and_another_sites_page_see_nothing_even_with_the_cookie(browser: TestClient) -> None:
    for headers in ({"host": "rebound.example"}, {"origin": "https://other.example"}):
        assert browser.get("/", headers=headers).status_code == 403


def test_every_answer_forbids_what_is_not_the_consoles_own(browser: TestClient) -> None:
    for path in ("/", "/nope", "/static/console.css", "/enter"):
        answer = browser.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")


def test_each_console_has_secrets_of_its_own() -> None:
    one, other = Access(1), Access(1)
    assert one.url != other.url
    session = one.enter(one.url.partition("=")[2])
    assert (one.knows(session), other.knows(session), one.knows(None), one.knows("")) == (True, False, False, False)
