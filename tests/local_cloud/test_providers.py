from pathlib import Path

import pytest
from batchdrop.errors import ConfigError

from local_cloud import providers

TEXT = """# a comment
[providers.openai]
protocol = "openai"
base_url = "https://api.openai.com/v1" # where it is
secret = "batchdrop/openai"

[providers.openai.limits]
requests_per_batch = 1

[providers.anthropic]
protocol = "anthropic"
secret = "batchdrop/anthropic"
base_url = "https://api.anthropic.com"

[providers.anthropic.headers]
base_url = "a header of this name"
"""


def test_only_the_named_providers_addresses_change_and_their_prices_stay() -> None:
    changed = providers.at(TEXT, {"anthropic": "http://127.0.0.1:1/anthropic"})
    there = 'http://127.0.0.1:1/anthropic"\nprice_address = "https://api.anthropic.com'
    assert changed == TEXT.replace("https://api.anthropic.com", there)
    assert providers.at(changed, {"anthropic": "http://127.0.0.1:2"}) == changed.replace(
        "127.0.0.1:1/anthropic", "127.0.0.1:2"
    )
    assert providers.at(TEXT, {}) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        '[providers]\nmine.protocol = "openai"\nmine.base_url = "https://api.example.org/v1"\nmine.secret = "x"\n',
        '[providers]\nmine = {protocol = "openai", base_url = "https://api.example.org/v1", secret = "x"}\n',
        '[providers."mine"]\nprotocol = "openai"\nbase_url = "https://api.example.org/v1"\nsecret = "x"\n',
    ],
)
def test_an_address_that_cannot_be_changed_is_never_deployed(text: str) -> None:
    with pytest.raises(ConfigError, match=r'providers\.mine\.base_url: write it as a line of its own under "'):
        providers.at(text, {"mine": "http://127.0.0.1:9/openai/v1"})


def test_the_projects_own_file_can_be_pointed_at_the_simulator() -> None:
    text = (Path(providers.__file__).parents[1] / "providers.toml").read_text()
    changed = providers.at(text, providers.simulated(text, "http://127.0.0.1:1"))
    assert [line for line in changed.splitlines() if line.startswith("base_url")] == [
        'base_url = "http://127.0.0.1:1/openai/v1"',
        'base_url = "http://127.0.0.1:1/anthropic"',
    ]


def test_the_simulator_stands_for_every_provider_by_its_protocol() -> None:
    more = '[providers.groq]\nprotocol = "openai"\nbase_url = "https://api.groq.com/openai/v1"\nsecret = "groq"\n'
    assert providers.simulated(TEXT.partition("[other]")[0] + more, "http://127.0.0.1:1") == {
        "openai": "http://127.0.0.1:1/openai/v1",
        "anthropic": "http://127.0.0.1:1/anthropic",
        "groq": "http://127.0.0.1:1/openai/v1",
    }


def test_every_provider_has_a_secret() -> None:
    expected = {"openai": "batchdrop/openai", "anthropic": "batchdrop/anthropic"}
    assert providers.secrets(TEXT.split("[other]", maxsplit=1)[0]) == expected


def test_real_keys_are_those_that_the_environment_holds() -> None:
    environment = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "", "OTHER": "x"}
    assert providers.real_keys(environment) == {"openai": "sk-1"}
