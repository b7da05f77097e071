"""What a client makes of a server's answers, whatever their fields hold: the real SDKs over answers written here."""

import json
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from batchdrop.errors import AccountRefused, Missing, Refused, Transient
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.anthropic_client import AnthropicBatches
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.interface import ProviderBatch, ProviderFile
from batchdrop.providers.keys import Key
from batchdrop.providers.openai_client import OpenAIBatches
from batchdrop.records import Protocol
from hypothesis import given
from hypothesis import strategies as st

MOMENT = 1_794_992_000  # 2026-11-18T08:53:20Z


def client(kind: Any, *answers: Any, status: int = 200, asked: list[httpx2.URL] | None = None) -> Any:
    """A client of a server that gives these answers in turn, the last one again and again."""
    left = list(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if asked is not None:
            asked.append(request.url)
        body = left.pop(0) if len(left) > 1 else left[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx2.Response(status, content=content, headers={"Content-Type": "application/json"})

    protocol = Protocol.OPENAI if kind is OpenAIBatches else Protocol.ANTHROPIC
    provider = ProviderConfig(protocol=protocol, base_url="http://server/v1", secret="s", name="server")
    return kind(provider, Key("sk-x"), httpx2.Client(transport=httpx2.MockTransport(answer)))


def gpt(body: dict[str, Any]) -> ProviderBatch:
    found: ProviderBatch = client(OpenAIBatches, body).retrieve("b")
    return found


def claude(body: dict[str, Any]) -> ProviderBatch:
    found: ProviderBatch = client(AnthropicBatches, body).retrieve("b")
    return found


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("id", 12, {"id": "12"}),
        ("id", "a/b:c", {"id": "a/b:c"}),
        ("created_at", MOMENT, {"created_at": MOMENT}),
        ("created_at", MOMENT + 0.7, {"created_at": MOMENT}),
        ("created_at", str(MOMENT), {"created_at": MOMENT}),
        ("created_at", "2026-11-18T08:53:20Z", {"created_at": MOMENT}),
        ("created_at", "2026-11-18T08:53:20", {"created_at": MOMENT}),
        ("created_at", "yesterday", {}),
        ("created_at", [1], {}),
        ("created_at", MOMENT * 1_000, {}),
        ("created_at", "0001-01-01T00:00:00", {}),
        ("request_counts", {"total": "7", "more": 1}, {"requests": 7}),
        ("request_counts", {"total": None}, {}),
        ("request_counts", {"total": -1}, {}),
        ("request_counts", {"total": 10**300}, {}),
        ("request_counts", {"total": "1e300"}, {}),
        ("request_counts", 7, {}),
        ("metadata", {"token": "t", "n": 1}, {"metadata": {"token": "t"}}),
        ("metadata", "none", {}),
        ("input_file_id", 7, {"input_file_id": "7"}),
        ("output_file_id", "", {}),
        ("error_file_id", False, {}),
        ("status", "COMPLETED", {"ended_as": "completed"}),
        ("status", "canceled", {"ended_as": "cancelled"}),
        ("status", "scheduling", {}),
        ("errors", [], {}),
        ("errors", {"data": None}, {}),
        ("errors", "Bad.", {"failures": (Failure(code=None, message="Bad."),)}),
        ("errors", {"message": "Bad.", "code": "x"}, {"failures": (Failure(code="x", message="Bad."),)}),
        (
            "errors",
            [{"code": 400, "message": "Bad.", "line": "3"}],
            {"failures": (Failure(code=None, message="Bad.", line=3),)},
        ),
        (
            "errors",
            {"object": "list", "data": [{"code": "x", "line": None}, "Bad."]},
            {"failures": (Failure(code="x", message=""), Failure(code=None, message="Bad."))},
        ),
    ],
)
def test_a_field_of_another_type_costs_only_itself(field: str, value: Any, read: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"id": "b", "ended_as": None}
    assert gpt({"id": "b", "status": "in_progress", field: value}) == ProviderBatch(**whole | read)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("id", 12, {"id": "12"}),
        ("created_at", MOMENT, {"created_at": MOMENT}),
        ("created_at", None, {}),
        ("request_counts", {"processing": 2.0, "succeeded": "3", "more": {}}, {"requests": 5, "rows": 3}),
        ("request_counts", [], {}),
        ("request_counts", {"processing": 10**300, "succeeded": -1, "errored": 1}, {"requests": 1, "rows": 1}),
        ("results_url", 7, {}),
        ("processing_status", "ended", {"ended_as": "completed"}),
    ],
)
def test_a_field_of_another_type_costs_only_itself_in_message_batches(
    field: str, value: Any, read: dict[str, Any]
) -> None:
    whole: dict[str, Any] = {"id": "b", "ended_as": None}
    assert claude({"id": "b", "processing_status": "in_progress", field: value}) == ProviderBatch(**whole | read)


KINDS = pytest.mark.parametrize("kind", [OpenAIBatches, AnthropicBatches])


@KINDS
@pytest.mark.parametrize(
    "body", [{}, [], "x", {"id": "b"}, {"status": "x", "processing_status": "x"}, {"id": "", "status": "x"}]
)
def test_what_is_no_batch_is_asked_for_again(kind: Any, body: Any) -> None:
    with pytest.raises(Transient):
        client(kind, body).retrieve("b")


@KINDS
@pytest.mark.parametrize("body", [{}, [], {"data": {}}, {"data": "x"}, {"data": [{}]}, {"error": "x"}, b"<html>"])
def test_what_is_no_listing_is_never_an_empty_one(kind: Any, body: Any) -> None:
    with pytest.raises(Transient):
        list(client(kind, body).newest())


@KINDS
@pytest.mark.parametrize("body", [{"data": []}, {"data": None}, {"data": [], "has_more": True}])
def test_an_empty_listing_may_say_so_in_other_words(kind: Any, body: Any) -> None:
    assert list(client(kind, body).newest()) == []


@KINDS
def test_a_listing_that_never_moves_on_is_never_whole(kind: Any) -> None:
    page = {"data": [{"id": "b", "status": "x", "processing_status": "x"}], "has_more": True}
    with pytest.raises(Transient, match="the same page again and again"):
        list(client(kind, page).newest())


def test_files_that_do_not_tell_enough_are_not_ours() -> None:
    files = [
        {"id": 7, "filename": "x.jsonl", "created_at": "2026-11-18T08:53:20Z"},
        {"id": "a"},
        "b",
        {"filename": "c"},
    ]
    found = client(OpenAIBatches, {"data": files}).uploads()
    assert list(found) == [ProviderFile(id="7", name="x.jsonl", created_at=MOMENT)]


@KINDS
def test_ids_are_quoted_in_paths(kind: Any) -> None:
    asked: list[httpx2.URL] = []
    api = client(kind, {"id": "b", "status": "x", "processing_status": "x"}, asked=asked)
    for batch_id in ("../x", "a?b#c", "a b%2Fc", "x" * 300):
        api.retrieve(batch_id)
        api.cancel(batch_id)
    assert all(url.raw_path.count(b"/") == asked[0].raw_path.count(b"/") for url in asked[::2])
    assert all(url.query == b"" and not url.fragment for url in asked)


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (400, {"error": "Bad."}, Refused, "400"),
        (400, {"detail": "Bad."}, Refused, "400"),
        (400, {"error": {"error": {"message": "Bad."}}}, Refused, "400"),
        (400, {"error": {"message": "Bad.", "code": 400}}, Refused, "400"),
        (400, b"<html>", Refused, "400"),
        (400, {"error": {"message": "Your credit balance is too low to go on."}}, AccountRefused, "no credit (400)"),
        (401, {"error": {"code": "invalid_api_key"}}, AccountRefused, "the key was refused (401 invalid_api_key)"),
        (308, b"", AccountRefused, "it redirects (308), and the key is sent to base_url only"),
        (404, {"error": "Not here."}, Missing, "404"),
        (422, {"detail": [{"msg": "Bad."}]}, Refused, "422"),
        (503, b"", Transient, "503"),
        (400, '{"error": {"message": "Ungültig: é", "code": "bad"}}'.encode("latin-1"), Refused, "400 bad"),
        (401, '{"error": {"message": "Schlüssel"}}'.encode("latin-1"), AccountRefused, "the key was refused (401)"),
        (400, '{"error": {"code": "bad"}}'.encode("utf-16"), Refused, "400 bad"),
        (400, '{"error": {"code": "bad"}}'.encode("utf-16-le"), Refused, "400 bad"),
        (400, '{"error": {"code": "bad"}}'.encode("utf-16-be"), Refused, "400 bad"),
        (400, '{"error": {"code": "bad"}}'.encode("utf-32"), Refused, "400 bad"),
        (400, '{"error": {"code": "bad"}}'.encode("utf-8-sig"), Refused, "400 bad"),
        (400, b"\xff\xfe\xfd", Refused, "400"),
        (400, b"\x80", Refused, "400"),
        (500, b"\xe9t\xe9", Transient, "500"),
    ],
)
@KINDS
def test_a_refusal_tells_its_status_and_nothing_of_what_was_said(
    kind: Any, status: int, body: Any, error: type[Exception], text: str
) -> None:
    api = client(kind, body, status=status)
    api._client = api._client.with_options(max_retries=0)  # noqa: SLF001 - no second try, which would wait
    with pytest.raises(error) as raised:
        api.retrieve("b")
    assert str(raised.value) == text


@pytest.mark.parametrize("tokens", [10**300, 1e300, "1e300", -1, 2**53 + 2])
def test_a_count_of_tokens_that_cannot_be_is_not_read(tokens: object) -> None:
    body = {"id": "b", "status": "completed", "request_counts": {"total": 1, "completed": 1}}
    assert gpt(body | {"usage": {"input_tokens": tokens}}).input_tokens is None
    assert gpt(body | {"usage": {"input_tokens": 2**53}}).input_tokens == 2**53


@KINDS
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_batch_is_read_in_any_encoding_that_its_bytes_tell(kind: Any, encoding: str) -> None:
    body = json.dumps({"id": "b-1", "status": "x", "processing_status": "x"}).encode(encoding)
    assert client(kind, body).retrieve("b").id == "b-1"


def test_a_batchs_name_that_is_not_utf8_costs_only_itself() -> None:
    body = {"id": "b", "status": "completed", "output_file_id": "file-é", "metadata": {"token": "é"}}
    found = client(OpenAIBatches, json.dumps(body, ensure_ascii=False).encode("latin-1")).retrieve("b")
    assert (found.id, found.ended_as) == ("b", "completed")


@KINDS
@pytest.mark.parametrize("long", ["x" * 5_000, int("9" * 4_000), "é" * 300])
def test_an_id_longer_than_a_key_is_no_id(kind: Any, long: object) -> None:
    body = {"id": long, "status": "x", "processing_status": "x"}
    with pytest.raises(Transient, match="no id"):
        client(kind, body).retrieve("b")


@KINDS
@given(body=st.binary(max_size=40), status=st.sampled_from([200, 302, 400, 401, 404, 405, 409, 429, 500]))
def test_whatever_bytes_an_answer_has_it_is_read_or_refused_in_our_words(kind: Any, body: bytes, status: int) -> None:
    for prefix in (b"", b'{"error":{"code":"', b'{"id":"b","status":"x","processing_status":"x","metadata":{"a":"'):
        with suppress(Transient, Refused, AccountRefused, Missing):
            client(kind, prefix + body, status=status).retrieve("b")
