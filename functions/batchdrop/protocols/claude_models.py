"""Rules of each Claude model: one table, from Anthropic's documentation as of 2026-11-26.

Sources, all under https://platform.claude.com/docs/en/:
- thinking: build-with-claude/thinking-troubleshooting ("rejected configurations by model"), models/*/whats-new-*.
- effort: build-with-claude/effort.
- temperature, top_p, top_k: the API's reference ("Models released after Claude Opus 4.6 …"; 1.0 and 0.99 up are
  accepted), and the migration guides of 4.5 ("only temperature OR top_p").
- forced tool_choice: models/{fable-5-1,opus-5-5,sonnet-5-5}/whats-new-* ("Forced tool use is not supported").
- a prefilled answer: api/errors ("Prefill not supported").
- structured output: build-with-claude/structured-outputs.

`providers.toml` overrules it, by pattern. A model that is not in the table takes everything: the provider decides.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

type Thinking = Literal["adaptive", "enabled", "disabled", "between_tools"]
type Effort = Literal["low", "medium", "high", "xhigh", "max"]
type Sampling = Literal["any", "one", "default"]

_ALL_EFFORTS: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
_UP_TO_HIGH: tuple[Effort, ...] = ("low", "medium", "high")
_NO_XHIGH: tuple[Effort, ...] = ("low", "medium", "high", "max")


class ModelRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules for requests to a model.

    Attributes:
        thinking: The types of `thinking`.
        efforts: The values of `output_config.effort`.
        efforts_without_thinking: The same beside thinking "disabled" or "between_tools".
        sampling: "any"; "one" of temperature and top_p; or their "default" values only, and no top_k.
        forced_tools: Whether `tool_choice` may force a call.
        prefill: Whether the last message may be the assistant's, to be continued.
        structured_output: Whether there are `output_config.format` and strict tools.
    """

    thinking: tuple[Thinking, ...] = ("adaptive", "enabled", "disabled", "between_tools")
    efforts: tuple[Effort, ...] = _ALL_EFFORTS
    efforts_without_thinking: tuple[Effort, ...] = _ALL_EFFORTS
    sampling: Sampling = "any"
    forced_tools: bool = True
    prefill: bool = True
    structured_output: bool = True


class RuleChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The changes by `providers.toml` for the models of a pattern: keys as in `ModelRules`, each optional."""

    thinking: tuple[Thinking, ...] | UnsetType = UNSET
    efforts: tuple[Effort, ...] | UnsetType = UNSET
    efforts_without_thinking: tuple[Effort, ...] | UnsetType = UNSET
    sampling: Sampling | UnsetType = UNSET
    forced_tools: bool | UnsetType = UNSET
    prefill: bool | UnsetType = UNSET
    structured_output: bool | UnsetType = UNSET


EVERYTHING = ModelRules()
_3 = ModelRules(thinking=("disabled",), efforts=(), structured_output=False)
_3_7 = ModelRules(thinking=("enabled", "disabled"), efforts=(), structured_output=False)
_4_1 = ModelRules(thinking=("enabled", "disabled"), efforts=(), sampling="one")
_4_5 = _4_1
_OPUS_4_5 = ModelRules(thinking=("enabled", "disabled"), efforts=_UP_TO_HIGH, sampling="one")
_4_6 = ModelRules(thinking=("adaptive", "enabled", "disabled"), efforts=_NO_XHIGH, sampling="one", prefill=False)
_MYTHOS_PREVIEW = ModelRules(thinking=("adaptive", "enabled"), efforts=_NO_XHIGH, prefill=False)
_4_7 = ModelRules(thinking=("adaptive", "disabled"), sampling="default", prefill=False)
_OPUS_5 = ModelRules(
    thinking=("adaptive", "disabled"), efforts_without_thinking=_UP_TO_HIGH, sampling="default", prefill=False
)
_ALWAYS_THINKS = ModelRules(thinking=("adaptive",), sampling="default", prefill=False)
_ALWAYS_THINKS_UNFORCED = ModelRules(thinking=("adaptive",), sampling="default", forced_tools=False, prefill=False)
_SONNET_5_5 = ModelRules(
    thinking=("adaptive", "between_tools"),
    efforts_without_thinking=_UP_TO_HIGH,
    sampling="default",
    forced_tools=False,
    prefill=False,
)

RULES: dict[str, ModelRules] = {
    **dict.fromkeys(("haiku-3", "sonnet-3", "opus-3", "sonnet-3-5", "haiku-3-5"), _3),
    **dict.fromkeys(("sonnet-3-7", "sonnet-4", "sonnet-4-0", "opus-4", "opus-4-0"), _3_7),
    "opus-4-1": _4_1,
    "opus-4-5": _OPUS_4_5,
    **dict.fromkeys(("sonnet-4-5", "haiku-4-5"), _4_5),
    **dict.fromkeys(("opus-4-6", "sonnet-4-6"), _4_6),
    "mythos-preview": _MYTHOS_PREVIEW,
    **dict.fromkeys(("opus-4-7", "opus-4-8", "sonnet-5", "haiku-5-5"), _4_7),
    "opus-5": _OPUS_5,
    **dict.fromkeys(("fable-5", "mythos-5"), _ALWAYS_THINKS),
    **dict.fromkeys(("opus-5-5", "fable-5-1", "mythos-5-1", "fable-5-2", "mythos-5-2"), _ALWAYS_THINKS_UNFORCED),
    "sonnet-5-5": _SONNET_5_5,
}

# claude-opus-4-5-20251101, claude-3-5-haiku-20241022, and as other clouds write them (us.anthropic.claude-…-v1:0)
_NAME = re.compile(
    r"claude-(?P<old>3(?:[-.]\d)?-)?(?P<family>[a-z]+)(?:-(?P<version>preview|\d{1,2}(?:[-.]\d{1,2})?))?(?!\d)"
)


def rules_of(model: str, changes: Mapping[str, RuleChanges] | None = None) -> ModelRules:
    """Return a model's rules.

    Args:
        model: Its name on the wire.
        changes: By shell pattern of models; the first that fits overrules the table, key by key.
    """
    rules = RULES.get(short_name(model), EVERYTHING)
    change = next((change for pattern, change in (changes or {}).items() if fnmatchcase(model, pattern)), None)
    if change is None:
        return rules
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    return msgspec.structs.replace(rules, **given)


def short_name(model: str) -> str:
    """`claude-3-5-haiku-20241022` is `haiku-3-5`: family and version, as `RULES` has them."""
    found = _NAME.search(model)
    if found is None:
        return ""
    version = (found["old"] or found["version"] or "").rstrip("-").replace(".", "-")
    return f"{found['family']}-{version}"
