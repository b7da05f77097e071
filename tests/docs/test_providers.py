"""docs/providers.md: every recipe is a file that is read, that routes as it says, and that a job runs through."""

import re
from pathlib import Path
from typing import Any

import pytest
from batchdrop.providers.config import ProviderConfig, parse_providers
from batchdrop.providers.folder_rules import Rules
from batchdrop.providers.limits import Limits
from batchdrop.providers.price_table import OwnPrices
from batchdrop.records import Protocol
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### (.+?)\n[^#]*?```toml\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL))
# What a model in a line becomes: a provider and a model on the wire.
ROUTES = {
    "OpenAI and Anthropic": {
        "gpt-4o-mini": ("openai", "gpt-4o-mini"),
        "text-embedding-3-small": ("openai", "text-embedding-3-small"),
        "claude-haiku-4-5": ("anthropic", "claude-haiku-4-5"),
        "llama-3": (None, "llama-3"),
    },
    "Several keys or organisations of one provider": {
        "gpt-4o-mini": ("openai-team-a", "gpt-4o-mini"),
        "openai-team-b/gpt-4o-mini": ("openai-team-b", "gpt-4o-mini"),
        "claude-haiku-4-5": ("claude-research", "claude-haiku-4-5"),
    },
    "LiteLLM proxy": {
        "gpt-4o-mini": ("litellm", "gpt-4o-mini"),
        "claude-haiku-4-5": ("litellm-claude", "claude-haiku-4-5"),
        "litellm-research/gpt-4o-mini": ("litellm-research", "gpt-4o-mini"),
    },
    "Portkey gateway": {"o3": ("portkey", "o3"), "portkey/any": ("portkey", "any")},
    "Groq": {
        "llama-3.3-70b-versatile": ("groq", "llama-3.3-70b-versatile"),
        "groq/openai/gpt-oss-120b": ("groq", "openai/gpt-oss-120b"),
    },
    "Azure": {"my-gpt-4o-batch": ("azure", "my-gpt-4o-batch"), "azure/other": ("azure", "other")},
    "Alibaba Cloud Model Studio (Qwen)": {"qwen-plus": ("qwen", "qwen-plus"), "qwen3-max": ("qwen", "qwen3-max")},
    "Doubleword": {
        "Qwen/Qwen3-8B": ("doubleword", "Qwen/Qwen3-8B"),
        "doubleword-fast/Qwen/Qwen3-8B": ("doubleword-fast", "Qwen/Qwen3-8B"),
    },
    "A gateway in front of Anthropic that wants a bearer token": {
        "claude-haiku-4-5": ("claude-gateway", "claude-haiku-4-5")
    },
    "A server that ends lines where Unicode does": {"my-llama": ("splitter", "my-llama")},
    "vLLM, and servers like it": {"Qwen/Qwen3-8B": ("vllm", "Qwen/Qwen3-8B")},
}


def test_every_recipe_is_here() -> None:
    headings = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)
    assert (headings, list(RECIPES)) == (list(ROUTES), list(ROUTES))


@pytest.mark.parametrize("recipe", ROUTES)
def test_a_recipe_routes_as_it_says(recipe: str) -> None:
    providers = parse_providers(RECIPES[recipe])
    routed = {model: providers.route(model) for model in ROUTES[recipe]}
    assert {model: (found and found.name, wire) for model, (found, wire) in routed.items()} == ROUTES[recipe]


@pytest.mark.parametrize("recipe", ROUTES)
def test_a_job_runs_through_every_provider_of_a_recipe(recipe: str) -> None:
    with new_cloud(RECIPES[recipe]) as cloud:
        providers = cloud.services.providers
        cloud.simulator.limits(openai_windows=[each.completion_window for each in providers.values()])
        lines = [line_for(name, protocol=each.protocol) for name, each in providers.items()]
        results = cloud.run("input/recipe.jsonl", lines).results
        assert [(result["provider"], result["error"]) for result in results] == [(name, None) for name in providers]
        assert all(got(result)[1] for result in results)


def line_for(name: str, *, protocol: Protocol) -> dict[str, Any]:
    line = chat(f"to {name}", model=f"{name}/gpt-4o-mini")
    if protocol is Protocol.ANTHROPIC:
        line = claude(f"to {name}")
        line["params"]["model"] = f"{name}/claude-haiku-4-5"
    return line


def test_every_key_is_documented_and_no_other() -> None:
    limits = (ROOT / "docs/limits.md").read_text(encoding="utf-8")
    documented = [re.findall(r"^\| `(\w+)` \|", each, re.MULTILINE) for each in (TEXT, limits)]
    fields = [name for name in ProviderConfig.__struct_fields__ if name != "name"] + [*Rules.__struct_fields__]
    fields += OwnPrices.__struct_fields__
    assert [sorted(each) for each in documented] == [sorted(fields), sorted(Limits.__struct_fields__)]


@pytest.mark.parametrize("link", [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if "://" not in link])
def test_every_link_to_a_file_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


def test_the_projects_own_file_is_what_the_first_recipe_begins_with() -> None:
    own = parse_providers((ROOT / "providers.toml").read_text(encoding="utf-8"))
    recipe = parse_providers(RECIPES["OpenAI and Anthropic"])
    assert [(each.name, each.protocol, each.base_url, each.secret) for each in recipe.values()] == [
        (each.name, each.protocol, each.base_url, each.secret) for each in own.values()
    ]
    assert all(set(each.models) <= set(own[name].models) for name, each in recipe.items())
