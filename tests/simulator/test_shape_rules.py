"""Which shape a batch has, and for how many batches a rule lasts."""

import pytest

from provider_simulator.shape_rules import ShapeRule, use_rules


def rule(times: int | None, model: str | None = None, **shape: int) -> ShapeRule:
    return ShapeRule(provider=None, model=model, times=times, shape=shape)


@pytest.mark.parametrize(("times", "used"), [(None, 4), (0, 0), (1, 1), (3, 3)])
def test_a_rule_is_used_for_as_many_batches_as_it_says(times: int | None, used: int) -> None:
    rules, found = [rule(times, lose=1)], 0
    for _ in range(4):
        shape, rules = use_rules(rules, "openai", "gpt-4o")
        found += shape == {"lose": 1}
    assert found == used


def test_a_rule_for_another_model_is_neither_used_nor_used_up() -> None:
    other = rule(1, model="gpt-5*", lose=1)
    assert use_rules([other], "openai", "gpt-4o") == ({}, [other])


def test_the_later_rule_stands_over_the_earlier() -> None:
    assert use_rules([rule(None, lose=1), rule(None, lose=2)], "openai", "gpt-4o")[0] == {"lose": 2}
