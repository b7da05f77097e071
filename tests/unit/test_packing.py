"""Requests in batches: by group, and within every limit."""

import re

import pytest
from batchdrop.batches.packing import MAX_ROUTES, Bin, Group, Packer, Routes, TooManyGroups, ledger_of
from batchdrop.batches.request_files import custom_id_prefix, wire_body, wire_line
from batchdrop.inputs.request_lines import Request
from batchdrop.limits.ledgers import estimate_of
from batchdrop.protocols.token_estimates import tokens_of
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.providers.limits import Limits
from batchdrop.records import JobSettings, Protocol
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

WIRE = 120  # what a request takes on the wire beside its body, at most


def configured(limits: Limits | None = None) -> Providers:
    limits = limits or Limits()
    common = {"base_url": "https://x", "secret": "s", "limits": limits}
    return Providers(
        {
            "openai": ProviderConfig(protocol=Protocol.OPENAI, name="openai", **common),
            "anthropic": ProviderConfig(protocol=Protocol.ANTHROPIC, name="anthropic", **common),
        }
    )


def a_request(
    size: int = 100,
    *,
    provider: str = "openai",
    model: str = "gpt-4o",
    endpoint: str = "/v1/responses",
    inputs: int = 0,
) -> Request:
    return Request(
        provider=provider,
        endpoint=endpoint,
        model=f"{provider}/{model}",
        wire_model=model,
        custom_id=Raw(b"null"),
        body=Raw(b"x" * size),
        inputs=inputs,
    )


def packed(requests: list[Request], providers: Providers) -> list[Bin]:
    """All batches, in the order of their numbers."""
    packer, routes, closed = Packer(providers), Routes(providers, JobSettings()), []
    for each in requests:
        _, full = packer.fit(routes.of(each)[1], len(bytes(each.body)), each.inputs)
        closed += [full] if full else []
    return sorted([*closed, *packer.rest()], key=lambda each: each.number)


def sizes(requests: list[Request], limits: Limits) -> list[int]:
    return [each.requests for each in packed(requests, configured(limits))]


def test_openai_batches_have_one_model_and_one_endpoint() -> None:
    requests = [
        a_request(model="gpt-4o"),
        a_request(model="gpt-5"),
        a_request(model="gpt-4o", endpoint="/v1/chat/completions"),
        a_request(model="gpt-4o"),
    ]
    assert packed(requests, configured()) == [
        Bin(
            number=0,
            group=Group(provider="openai", endpoint="/v1/responses", model="gpt-4o"),
            requests=2,
            bytes=2 * (100 + WIRE),
            tokens=2 * tokens_of(100 + WIRE),
        ),
        Bin(
            number=1,
            group=Group(provider="openai", endpoint="/v1/responses", model="gpt-5"),
            requests=1,
            bytes=100 + WIRE,
            tokens=tokens_of(100 + WIRE),
        ),
        Bin(
            number=2,
            group=Group(provider="openai", endpoint="/v1/chat/completions", model="gpt-4o"),
            requests=1,
            bytes=100 + WIRE,
            tokens=tokens_of(100 + WIRE),
        ),
    ]


def test_anthropic_batches_mix_models() -> None:
    requests = [a_request(provider="anthropic", endpoint="/v1/messages", model=f"claude-{n}") for n in range(5)]
    found = packed(requests, configured())
    assert [(each.group, each.requests) for each in found] == [
        (Group(provider="anthropic", endpoint="/v1/messages", model=None, api_version="2023-06-01"), 5)
    ]


def test_providers_never_share_a_batch() -> None:
    assert len(packed([a_request(), a_request(provider="anthropic")], configured())) == 2


def test_a_batch_holds_so_many_requests() -> None:
    assert sizes([a_request()] * 7, Limits(requests_per_batch=3)) == [3, 3, 1]


def test_a_batch_holds_so_many_bytes_on_the_wire() -> None:
    assert sizes([a_request(100)] * 5, Limits(bytes_per_batch=2 * (100 + WIRE))) == [2, 2, 1]


def test_a_batch_holds_so_many_tokens() -> None:
    assert sizes([a_request(350 - WIRE)] * 5, Limits(enqueued_tokens=200)) == [2, 2, 1]


def test_tokens_do_not_limit_anthropics_batches() -> None:
    assert sizes([a_request(350, provider="anthropic")] * 5, Limits(enqueued_tokens=1)) == [5]


def test_a_batch_holds_50_000_texts_to_embed() -> None:
    assert sizes([a_request(inputs=20_000)] * 5, Limits()) == [2, 2, 1]


@pytest.mark.parametrize("endpoint", ["/v1/images/generations", "/v1/images/edits"])
def test_a_batch_holds_1_000_requests_for_pictures_whose_results_are_large(endpoint: str) -> None:
    assert sizes([a_request(endpoint=endpoint)] * 2_001, Limits()) == [1_000, 1_000, 1]
    assert sizes([a_request(endpoint=endpoint)] * 3, Limits(requests_per_batch=2)) == [2, 1]


def test_a_request_over_a_limit_goes_alone() -> None:
    assert sizes([a_request(10), a_request(9_000), a_request(10)], Limits(bytes_per_batch=1_000)) == [1, 1, 1]


def test_closing_a_batch_of_one_group_leaves_the_others_open() -> None:
    requests = [a_request(model=model) for model in ("a", "b", "a", "b", "a")]
    found = packed(requests, configured(Limits(requests_per_batch=2)))
    assert [(each.number, each.group.model, each.requests) for each in found] == [(0, "a", 2), (1, "b", 2), (2, "a", 1)]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_file_of_too_many_models_has_an_error_for_what_is_too_much_and_room_for_the_rest(provider: str) -> None:
    routes = Routes(configured(), JobSettings())
    for number in range(MAX_ROUTES):
        routes.of(a_request(model=str(number), provider=provider))
    with pytest.raises(TooManyGroups):
        routes.of(a_request(model="one more", provider=provider))
    assert routes.of(a_request(model="5", provider=provider))[0] == 5
    assert len(list(routes)) == MAX_ROUTES


def test_openais_ledger_is_the_models_and_anthropics_the_accounts() -> None:
    found = packed([a_request(model="gpt-5"), a_request(provider="anthropic")], configured())
    assert [ledger_of(each.group) for each in found] == ["openai/gpt-5", "anthropic"]


def test_openai_counts_tokens_and_anthropic_requests() -> None:
    providers = configured(Limits(enqueued_tokens=1_000, queued_requests=77))
    one, *others = packed([a_request(350 - WIRE), *[a_request(provider="anthropic")] * 3], providers)
    assert [
        estimate_of(providers[each.group.provider].protocol, requests=each.requests, tokens=each.tokens)
        for each in (one, *others)
    ] == [100, 3]


limits = st.builds(
    Limits,
    requests_per_batch=st.integers(1, 5),
    bytes_per_batch=st.integers(100, 2_000),
    enqueued_tokens=st.integers(10, 500),
    queued_requests=st.integers(1, 4),
)
requests_ = st.lists(
    st.builds(
        a_request,
        st.integers(2, 1_500),
        provider=st.sampled_from(["openai", "anthropic"]),
        model=st.sampled_from(["a", "b"]),
        inputs=st.integers(0, 30_000),
    ),
    max_size=20,
)


@given(requests_, limits)
def test_no_batch_is_over_a_limit_unless_it_is_one_request(requests: list[Request], limits: Limits) -> None:
    providers = configured(limits)
    found = packed(requests, providers)
    assert sum(each.requests for each in found) == len(requests)
    assert [each.number for each in found] == list(range(len(found)))
    for each in found:
        assert each.requests <= limits.requests_per_batch
        assert each.requests == 1 or (each.bytes <= limits.bytes_per_batch and each.inputs <= 50_000)


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12), st.integers(0, 99_999))
def test_a_request_on_the_wire_is_no_larger_than_it_is_counted(deployment: str, position: int) -> None:
    prefix = custom_id_prefix(deployment, "0123456789abcdef").encode()
    for url in (None, "/v1/images/generations"):
        assert len(wire_line(prefix, position, url, b"{}")) <= len(b"{}") + WIRE


def test_our_custom_id_fits_both_providers_rules() -> None:
    longest = f"{custom_id_prefix('a' * 12, 'f' * 16)}{99_999}"
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", longest)


def test_request_lines_are_the_providers_own_forms() -> None:
    body = b'{"a" : 1}'
    assert (wire_line(b"d-t-", 7, None, body), wire_line(b"d-t-", 7, "/v1/responses", body)) == (
        b'{"custom_id":"d-t-7","params":{"a" : 1}}\n',
        b'{"custom_id":"d-t-7","method":"POST","url":"/v1/responses","body":{"a" : 1}}\n',
    )


@pytest.mark.parametrize(
    "body", [b"{}", b'{"a":1,"params":{"b":2}}', b'{"a":1,"body":{"b":2}}', b'{"a":"\\",\\"params\\":" }']
)
@pytest.mark.parametrize("url", [None, "/v1/responses"])
def test_a_body_is_found_again_in_its_request_line_byte_for_byte(url: str | None, body: bytes) -> None:
    assert wire_body(wire_line(b"d-t-", 7, url, body)) == body
