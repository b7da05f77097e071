"""The SDK's server for `mcp`, whose errors are sentences that quote no argument: a prompt may be among them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError

from batchdrop_cli.user_errors import sentence


class Server(MCPServer[Any]):
    """Says which arguments do not fit; the SDK's own words quote them."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:  # noqa: ANN401 - the SDK's
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            wrong = _describe_arguments(error.__cause__)
        raise ToolError(f"Error executing tool {name}: {wrong}")


def _describe_arguments(error: ValidationError) -> str:
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    places = dict.fromkeys(f'"{".".join(map(str, each["loc"])):.60}" ({each["type"]})' for each in wrong)
    return f"These arguments do not fit its schema: {', '.join(places)}."


def in_words(tool: Callable[..., str]) -> Callable[..., str]:
    """A tool whose errors are sentences."""

    @wraps(tool)
    def run(*arguments: Any, **named: Any) -> str:
        try:
            return tool(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - whatever it is becomes a sentence
            raise ToolError(sentence(error)[0]) from None

    return run
