"""providers.toml."""

from pathlib import Path

import pytest
from batchdrop.errors import ConfigError
from batchdrop.providers.config import Limits, Protocol, ProviderConfig, Providers, load_providers, parse_providers

MINIMAL = """
[providers.mine]
protocol = "openai"
base_url = "https://mine/v1"
secret = "batchdrop/mine"
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_providers(text)
    return str(caught.value)


def test_a_provider_needs_a_protocol_an_address_and_a_secret() -> None:
    assert dict(parse_providers(MINIMAL)) == {
        "mine": ProviderConfig(
            protocol=Protocol.OPENAI,
            base_url="https://mine/v1",
            secret="batchdrop/mine",
            models=(),
            api_version=None,
            betas=(),
            limits=Limits(
                requests_per_batch=50_000,
                bytes_per_batch=90_000_000,
                enqueued_tokens=2_000_000,
                queued_requests=200_000,
            ),
            name="mine",
        )
    }


def test_the_projects_own_file_has_both_vendors(providers: Providers) -> None:
    assert [
        (each.name, each.protocol, each.base_url, each.secret, each.api_version) for each in providers.values()
    ] == [
        ("openai", Protocol.OPENAI, "https://api.openai.com/v1", "batchdrop/openai", None),
        ("anthropic", Protocol.ANTHROPIC, "https://api.anthropic.com", "batchdrop/anthropic", "2023-06-01"),
    ]


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o-mini", "openai"),
        ("o3", "openai"),
        ("o1-preview", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("ft:gpt-4o:org::id", "openai"),
        ("text-embedding-3-large", "openai"),
        ("omni-moderation-latest", "openai"),
        ("claude-haiku-4-5", "anthropic"),
        ("claude-3-5-sonnet-20241022", "anthropic"),
        ("ollama", None),
        ("my-gpt-4", None),
        ("", None),
    ],
)
def test_models_go_to_the_vendor_that_has_them(model: str, provider: str | None, providers: Providers) -> None:
    found, wire = providers.route(model)
    assert (found and found.name, wire) == (provider, model)


def test_any_number_of_models_may_be_asked_for(providers: Providers) -> None:
    for number in range(10_500):
        providers.route(f"model-{number}")
    assert providers.route("gpt-4o")[0] is providers["openai"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[providers", "providers.toml: "),
        ("", "providers"),
        ("[providers]", "at least one is needed"),
        ("x = 1\n" + MINIMAL, "`x`"),
        (MINIMAL + 'modles = ["x"]', "`modles`"),
        (MINIMAL.replace("secret", "#"), "`secret`"),
        (MINIMAL.replace("base_url", "#"), "`base_url`"),
        (MINIMAL.replace('"openai"', '"bedrock"'), "'bedrock' - at `$.providers[...].protocol`"),
        (MINIMAL + "[providers.mine.limits]\nrequests_per_day = 1", "`requests_per_day`"),
        (MINIMAL + '[providers.mine.limits]\nenqueued_tokens = "many"', ".limits.enqueued_tokens`"),
        (MINIMAL + "[providers.mine.limits]\nenqueued_tokens = 0", ".limits.enqueued_tokens`"),
        (MINIMAL + "[providers.mine.limits]\nrequests_per_batch = -1", ".limits.requests_per_batch`"),
        (MINIMAL.replace("mine]", "Mine]"), "providers.Mine: a name is lower-case letters, digits and '-', up to 32"),
        (MINIMAL.replace("mine]", '"a/b"]'), "providers.a/b: a name is"),
        (MINIMAL.replace("mine]", "a" * 33 + "]"), f"providers.{'a' * 33}: a name is"),
    ],
)
def test_a_mistake_is_refused_with_the_file_and_the_key(text: str, words: str) -> None:
    said = refusal(text)
    assert (said.startswith("providers.toml: "), words in said) == (True, True), said


def test_a_loaded_file_is_named_in_the_refusal(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[providers]", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^mine\.toml: providers: at least one is needed$"):
        load_providers(path)
