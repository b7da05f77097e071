"""What both clients send, byte for byte: the real SDKs over real HTTP, to a server that keeps what came."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batchdrop.batches.request_files import wire_line
from batchdrop.providers.clients import make_api
from batchdrop.providers.config import parse_providers
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.providers.keys import Key
from batchdrop.records import Batch
from batchdrop.states import BatchState
from faking.raw_server import RawServer, raw_server
from faking.rows import a_batch

SECRET = "sk-never-to-be-seen"
ANSWER = {  # what every call of both protocols can read
    "id": "batch_1",
    "status": "completed",
    "processing_status": "ended",
    "data": [],
    "has_more": False,
    "bytes": 3,
}
ENDED = ProviderBatch(id="batch_1", ended_as="completed", input_file_id="in", output_file_id="out", error_file_id="err")

type Call = Callable[[BatchApi, Path], Any]


def api(server: RawServer, protocol: str, more: str = "") -> BatchApi:
    text = f'[providers.mine]\nprotocol = "{protocol}"\nbase_url = "{server.url}"\nsecret = "s"\n{more}'
    return make_api(parse_providers(text)["mine"], Key(SECRET))


def batch(**changes: Any) -> Batch:
    sent = a_batch(state=BatchState.SUBMITTING, token="t", provider="mine", endpoint="/v1/chat/completions", requests=2)
    return sent.with_(input_file_id="in", **changes)


def requests_file(folder: Path, count: int = 2) -> Path:
    path = folder / "requests.jsonl"
    path.write_bytes(b"".join(wire_line(b"d-t-", each, None, b'{"model":"m","x":"\xc3\xbc"}') for each in range(count)))
    return path


def create(client: BatchApi, requests: Path, **changes: Any) -> str:
    return client.create(batch(**changes), requests, deployment="d", seconds=60)


CALLS: dict[str, dict[str, Call]] = {
    "openai": {
        "upload": lambda client, file: client.upload(file, name="x.jsonl"),
        "delete_upload": lambda client, _: client.delete_upload("in"),
        "uploads": lambda client, _: list(client.uploads()),
        "length": lambda client, _: client.length("out"),
    },
    "anthropic": {},
}
for each in CALLS.values():
    each |= {
        "create": create,
        "call": lambda client, _: client.call(batch(), b'{"model":"m"}', seconds=60),
        "retrieve": lambda client, _: client.retrieve("batch_1"),
        "page": lambda client, _: client.page(None),
        "newest": lambda client, _: list(client.newest()),
        "stream": lambda client, _: b"".join(client.stream("out")),
        "cancel": lambda client, _: client.cancel("batch_1"),
        "delete": lambda client, _: client.delete(ENDED),
    }
EVERY = [(protocol, name) for protocol, calls in CALLS.items() for name in calls]
BODIES = {"upload", "create", "call"}


@pytest.mark.parametrize("protocol", CALLS)
def test_every_method_of_a_client_that_calls_is_looked_at_here(protocol: str) -> None:
    called = {name for name in vars(BatchApi) if not name.startswith("_")} - {"needs_upload", "results"}
    local = {"upload", "delete_upload", "uploads", "length"} if protocol == "anthropic" else set()
    assert set(CALLS[protocol]) == called - local


@pytest.mark.parametrize(("protocol", "name"), EVERY)
def test_no_request_is_chunked_and_each_body_tells_its_length(protocol: str, name: str, tmp_path: Path) -> None:
    with raw_server(ANSWER) as server:
        CALLS[protocol][name](api(server, protocol), requests_file(tmp_path))
    assert server.calls
    for call in server.calls:
        assert call.values("transfer-encoding") == []
        if call.line.startswith("POST"):
            assert call.values("content-length") == [str(len(call.body))]
            assert (len(call.body) > 0) == (name in BODIES)


def test_a_create_carries_all_its_requests_however_many_pieces_the_file_is_read_in(tmp_path: Path) -> None:
    with raw_server(ANSWER) as server:
        create(api(server, "anthropic"), requests_file(tmp_path, count=20_000))
    (call,) = server.calls
    assert call.values("content-length") == [str(len(call.body))]
    sent = json.loads(call.body)["requests"]
    assert [each["custom_id"] for each in sent] == [f"d-t-{each}" for each in range(20_000)]


@pytest.mark.parametrize(
    ("protocol", "endpoint", "path"),
    [
        ("openai", "/v1/chat/completions", "/chat/completions"),  # base_url ends with the version
        ("openai", "/v1/responses", "/responses"),
        ("anthropic", "/v1/messages", "/v1/messages"),
    ],
)
def test_a_call_carries_the_body_of_its_request_byte_for_byte(protocol: str, endpoint: str, path: str) -> None:
    body = '{"model":"m", "x":"\u2028ü","n":1.0}'.encode()
    with raw_server(ANSWER) as server:
        reply = api(server, protocol).call(batch(endpoint=endpoint), body, seconds=60)
    (call,) = server.calls
    assert (call.line.split(" ")[:2], call.body) == (["POST", path], body)
    assert call.values("content-type") == ["application/json"]
    assert (reply.status, json.loads(reply.body)) == (200, ANSWER)


def test_a_call_carries_the_version_and_the_betas_of_its_batch() -> None:
    with raw_server(ANSWER) as server:
        sent = batch(endpoint="/v1/messages", api_version="2026-10-21", betas=("one", "two"))
        api(server, "anthropic").call(sent, b"{}", seconds=60)
    (call,) = server.calls
    assert call.values("anthropic-version") == ["2026-10-21"]
    assert call.values("anthropic-beta") == ["one,two"]
    assert (call.values("x-api-key"), call.values("authorization")) == ([], [BEARER])


BEARER = f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("more", "changes", "key", "authorization"),
    [
        ("", {}, [SECRET], []),
        ('api_version = "2023-06-01"', {}, [SECRET], []),
        ('api_version = "2026-10-21"', {}, [], [BEARER]),
        ("", {"api_version": "2026-10-21"}, [], [BEARER]),
        ('api_version = "2026-10-21"', {"api_version": "2023-06-01"}, [SECRET], []),
        ('headers = { Authorization = "Bearer {key}" }', {}, [], [BEARER]),
        ('headers = { x-api-key = "{key}" }\napi_version = "2026-10-21"', {}, [SECRET], []),
        ('headers = { X-Api-Key = "{key}", authorization = "Bearer {key}" }', {}, [SECRET], [BEARER]),
    ],
)
def test_anthropics_key_goes_where_the_version_of_the_call_has_it_or_where_the_headers_say(
    more: str, changes: dict[str, Any], key: list[str], authorization: list[str], tmp_path: Path
) -> None:
    with raw_server(ANSWER) as server:
        create(api(server, "anthropic", more), requests_file(tmp_path), **changes)
    (call,) = server.calls
    assert (call.values("x-api-key"), call.values("authorization")) == (key, authorization)


@pytest.mark.parametrize("name", CALLS["anthropic"])
def test_every_call_of_anthropics_carries_its_key_once(name: str, tmp_path: Path) -> None:
    with raw_server(ANSWER) as server:
        CALLS["anthropic"][name](api(server, "anthropic"), requests_file(tmp_path))
    assert {(*call.values("x-api-key"), *call.values("authorization")) for call in server.calls} == {(SECRET,)}


@pytest.mark.parametrize(
    ("more", "authorization"),
    [("", BEARER), ('headers = { Authorization = "{key}" }', SECRET), ('headers = { api-key = "{key}" }', BEARER)],
)
def test_openais_key_is_a_bearer_token_unless_the_headers_say_how_it_is_sent(
    more: str, authorization: str, tmp_path: Path
) -> None:
    with raw_server(ANSWER) as server:
        create(api(server, "openai", more), requests_file(tmp_path))
    assert [call.values("authorization") for call in server.calls] == [[authorization]]


@pytest.mark.parametrize(("protocol", "name"), EVERY)
def test_no_log_however_chatty_holds_the_key(
    protocol: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with raw_server(ANSWER) as server:
        CALLS[protocol][name](api(server, protocol), requests_file(tmp_path))
    assert caplog.records
    assert SECRET not in caplog.text
