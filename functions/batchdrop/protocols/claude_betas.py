"""Refuses parameters that need a beta, at any depth; betas are one header of a whole batch.

Read from the `anthropic` SDK 2.12.0: what its beta API takes and the other does not.
"""

from collections.abc import Collection

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.protocols.request_checks import NULL, Body, LineProblem
from batchdrop.result_line import ErrorCode

# Parameters, and what the names of the betas that bring them begin with.
PARAMETERS = {
    "compaction": ("compact-",),
    "context_management": ("context-management-", "compact-"),
    "fallback_credit_token": ("fallback-credit-", "server-side-fallback-"),
    "fallbacks": ("server-side-fallback-",),
    "mcp_servers": ("mcp-",),
    "thread": ("message-threads-",),
}
# Types of content blocks and of tools.
TYPES = {
    "advisor_20260301": ("advisor-tool-",),
    "advisor_tool_result": ("advisor-tool-",),
    "bash_20241022": ("computer-use-",),
    "compaction": ("compact-",),
    "computer_20241022": ("computer-use-",),
    "computer_20250124": ("computer-use-",),
    "computer_20251124": ("computer-use-",),
    "fallback": ("server-side-fallback-",),
    "mcp_tool_listing": ("mcp-",),
    "mcp_tool_result": ("mcp-",),
    "mcp_tool_use": ("mcp-",),
    "mcp_toolset": ("mcp-",),
    "text_editor_20241022": ("computer-use-",),
    "tool_addition": ("mid-conversation-tool-changes-", "inline-tools-"),
    "tool_removal": ("mid-conversation-tool-changes-", "inline-tools-"),
}
_TASK_BUDGETS, _BINDING = ("task-budgets-",), ("thinking-binding-controls-",)
_CODE_EXECUTION = "code_execution_"  # what the types of this tool begin with
_DEPTH = 3  # a message's blocks, those of a tool's result in there, and one more


class _Block(msgspec.Struct, gc=False):
    """A message, a content block or a tool."""

    type: str | None = None
    content: Raw = NULL


class _Nested(msgspec.Struct, gc=False):
    """Of `container`, `output_config` and `thinking`, what is more than the API's own or asks for more."""

    skills: Raw | UnsetType = UNSET
    task_budget: Raw | UnsetType = UNSET
    block_binding: Raw | UnsetType = UNSET


_blocks = msgspec.json.Decoder(list[_Block])
_nested = msgspec.json.Decoder(_Nested)


def refuse_missing_betas(body: Body, betas: Collection[str]) -> None:
    """Refuse a request that needs a beta which its batch does not have, and skills with nothing to run them.

    Raises:
        LineProblem: It names what needs the beta.
    """
    if body.betas is not UNSET:
        message = '"betas" belong to a whole batch: set them in batchdrop.toml or providers.toml'
        raise LineProblem(ErrorCode.UNSUPPORTED_PARAMETER, message)
    for name, prefixes in PARAMETERS.items():
        if _is_there(getattr(body, name)):
            _require(name, prefixes, betas)
    for part, name, prefixes in (
        (body.output_config, "task_budget", _TASK_BUDGETS),
        (body.thinking, "block_binding", _BINDING),
    ):
        if part is not UNSET and _is_there(getattr(_read(part), name)):
            _require(name, prefixes, betas)
    if body.container is not UNSET and _is_there(_read(body.container).skills):
        _require_code_execution(body.tools)
    for value in (body.messages, body.tools):
        if value is not UNSET:
            _check_blocks(value, betas, _DEPTH)


def _is_there(value: Raw | UnsetType) -> bool:
    return value not in (UNSET, NULL)


def _require(name: str, prefixes: tuple[str, ...], betas: Collection[str]) -> None:
    if not any(beta.startswith(prefixes) for beta in betas):
        known = '" or "'.join(f"{prefix}…" for prefix in prefixes)
        message = f'"{name}" needs a beta: add "{known}" to "betas" in batchdrop.toml or providers.toml'
        raise LineProblem(ErrorCode.UNSUPPORTED_PARAMETER, message)


def _read(part: Raw) -> _Nested:
    try:
        return _nested.decode(part)
    except msgspec.DecodeError:
        return _Nested()


def _require_code_execution(tools: Raw | UnsetType) -> None:
    """Skills run in the code execution tool (Anthropic's guide to skills): without it the request is refused."""
    found = [] if tools is UNSET else _list(tools)
    if not any((tool.type or "").startswith(_CODE_EXECUTION) for tool in found):
        message = f'"skills" need the code execution tool: add one of type "{_CODE_EXECUTION}…" to "tools"'
        raise LineProblem(ErrorCode.MISSING_PARAMETER, message)


def _check_blocks(value: Raw, betas: Collection[str], depth: int) -> None:
    for block in _list(value):
        if block.type in TYPES:
            _require(block.type, TYPES[block.type], betas)
        if depth > 1 and bytes(memoryview(block.content)[:1]) == b"[":
            _check_blocks(block.content, betas, depth - 1)


def _list(value: Raw) -> list[_Block]:
    try:
        return _blocks.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return []  # the provider's to refuse
