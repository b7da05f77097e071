"""What the deployer allows in a folder, as `providers.toml` says it."""

from decimal import Decimal

import pytest
from batchdrop.dollars import BUDGET_WORDS
from batchdrop.errors import ConfigError, Unprocessable
from batchdrop.inputs.job_settings import resolve
from batchdrop.providers.config import parse_providers
from batchdrop.providers.folder_rules import Rules, rules_for

ONE = '[providers.openai]\nprotocol = "openai"\nbase_url = "https://x/v1"\nsecret = "s"\n'


def test_the_nearest_folder_wins_key_by_key() -> None:
    folders = parse_providers(
        ONE + '[folders."input/"]\nmax_priority = 0\nmax_attempts = 2\n'
        '[folders."input/a/"]\nallowed_providers = ["openai"]\nmax_priority = 9\n[folders."input/a/b/"]\n'
        "allowed_providers = []\n"
    ).folders
    assert rules_for(folders, "input/x.jsonl") == Rules(max_priority=0, max_attempts=2)
    nearer = Rules(allowed_providers=("openai",), max_priority=9, max_attempts=2)
    assert rules_for(folders, "input/a/x.jsonl") == nearer
    assert rules_for(folders, "input/a/b/c/x.jsonl").allowed_providers == ()
    assert rules_for(folders, "input/ab/x.jsonl").allowed_providers is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('folders = "input/"', 'folders: must be a table of tables ([folders."input/team/"])'),
        ('[folders."input/a"]', 'folders."input/a": a folder must begin with "input/" and end with "/"'),
        ('[folders."output/"]', 'folders."output/": a folder must begin with "input/" and end with "/"'),
        (
            '[folders."input/"]\nallowed_providers = ["opnai"]',
            'folders."input/".allowed_providers: there is no [providers.opnai]',
        ),
        (
            '[folders."input/"]\nmax_prio = 1',
            'folders."input/": contains unknown field `max_prio`; did you mean max_priority?',
        ),
        ('[folders."input/"]\nmax_attempts = 0', 'folders."input/".max_attempts: Expected `int` >= 1'),
        *(
            (
                f'[folders."input/"]\nmax_budget_usd = {value}',
                f'folders."input/".max_budget_usd: must be {BUDGET_WORDS}',
            )
            for value in ("0", "-1", "nan", "inf", "0.0000001", "'20 dollars'", "true")
        ),
    ],
)
def test_a_mistake_in_it_is_named(text: str, problem: str) -> None:
    text = f"{text}\n{ONE}" if text.startswith("folders") else f"{ONE}{text}\n"
    with pytest.raises(ConfigError) as raised:
        parse_providers(text)
    assert str(raised.value) == f"providers.toml: {problem}"


def test_what_is_asked_for_above_a_ceiling_is_refused_and_a_default_lowered() -> None:
    rules = Rules(max_priority=3, max_attempts=2)
    assert resolve([("input/batchdrop.toml", "priority = 3")], {}, rules).max_attempts == 2
    assert resolve([], {}, Rules(max_priority=-5)).priority == -5
    with pytest.raises(Unprocessable) as raised:
        resolve([("input/batchdrop.toml", "priority = 4")], {"batchdrop-max-attempts": "1"}, rules)
    assert str(raised.value) == "input/batchdrop.toml: priority = 4: at most 3 is allowed in this folder"
    with pytest.raises(Unprocessable) as raised:
        resolve([("input/batchdrop.toml", "max_attempts = 1")], {"batchdrop-max-attempts": "3"}, rules)
    assert str(raised.value) == "the object's metadata: max_attempts = 3: at most 2 is allowed in this folder"


def test_a_ceiling_on_budgets_is_the_budget_of_jobs_that_have_none() -> None:
    folders = parse_providers(f'{ONE}[folders."input/a/"]\nmax_budget_usd = 12.345678\n').folders
    rules = rules_for(folders, "input/a/x.jsonl")
    assert resolve([], {}, rules).budget_usd == Decimal("12.345678")
    assert resolve([], {"batchdrop-budget-usd": "3"}, rules).budget_usd == 3
    with pytest.raises(Unprocessable) as raised:
        resolve([], {"batchdrop-budget-usd": "13"}, rules)
    assert str(raised.value) == ("the object's metadata: budget_usd = 13: at most 12.345678 is allowed in this folder")
