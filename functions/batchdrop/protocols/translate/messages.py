"""The conversation of a chat completion as Claude's system prompt and turns.

System and developer messages move to the front, in their order; the results of parallel calls share one user turn.
"""

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from batchdrop.json_text import reject_unportable_object
from batchdrop.protocols.rules import LineProblem
from batchdrop.protocols.translate.content import Block, read_content, text_block
from batchdrop.protocols.translate.fields import Fields, invalid, objects, text, untranslatable
from batchdrop.results import ErrorCode

type Turn = dict[str, Any]

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")  # Anthropic refuses others


class Conversation:
    """Reads messages one by one. Every call must be answered in the messages right after it, as both vendors ask."""

    def __init__(self) -> None:
        self.system: list[Block] = []
        self.turns: list[Turn] = []
        self._called: set[str] = set()
        self._unanswered: set[str] = set()

    def read(self, messages: Iterable[Fields]) -> None:
        for message in messages:
            self._read(message, message.text("role"))
            message.close()
        if not self.turns:
            raise invalid("messages", "is empty, or holds system messages only")
        if self._unanswered:
            raise invalid("messages", "ends before every tool call has its result")
        if self.turns[-1]["role"] == "assistant":
            raise LineProblem(
                ErrorCode.UNTRANSLATABLE,
                'the last of "messages" is the assistant\'s: Claude would continue it, not answer it',
            )

    def _read(self, message: Fields, role: str | None) -> None:
        match role:
            case "system" | "developer":
                self.system += read_content(message, ("text",))
            case "user":
                self._refuse_unanswered(message)
                self._add("user", message, read_content(message, ("text", "image_url", "file")))
            case "assistant":
                self._refuse_unanswered(message)
                self._add("assistant", message, self._assistant(message))
            case "tool":
                self._answer(message)
            case "function":
                raise untranslatable(f'"{message.where}", a message of role "function",', 'write one of role "tool"')
            case _:
                raise invalid(message.path("role"), "must be system, developer, user, assistant or tool")

    def _add(self, role: str, message: Fields, blocks: list[Block]) -> None:
        if not blocks:
            raise invalid(message.where, "is empty: Claude takes no message without content")
        self.turns.append({"role": role, "content": blocks})

    def _assistant(self, message: Fields) -> list[Block]:
        blocks = read_content(message, ("text", "refusal"))
        if (refusal := message.take("refusal")) is not None and (block := text_block(refusal, message.path("refusal"))):
            blocks.append(block)
        if (calls := message.take("tool_calls")) is not None:
            blocks += map(self._call, objects(calls, message.path("tool_calls"), message.droppable))
        return blocks

    def _call(self, call: Fields) -> Block:
        call_id = text(call.need("id"), call.path("id"))
        if not _CALL_ID.fullmatch(call_id) or call_id in self._called:
            raise invalid(call.path("id"), "must be unique, of letters, digits, _ and -, for Claude")
        self._called.add(call_id)
        self._unanswered.add(call_id)
        if call.text("type") not in {"function", None}:
            raise untranslatable(f'"{call.where}", a call of another type than "function",', "make it a function")
        function = call.object("function")
        name = text(function.need("name"), function.path("name"))
        arguments = _arguments(function)
        function.close()
        call.close()
        return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}

    def _answer(self, message: Fields) -> None:
        call_id = text(message.need("tool_call_id"), message.path("tool_call_id"))
        if call_id not in self._unanswered:
            raise invalid(message.path("tool_call_id"), "answers no call of the assistant's message before it")
        self._unanswered.remove(call_id)
        result = {"type": "tool_result", "tool_use_id": call_id, "content": read_content(message, ("text",))}
        if self.turns[-1]["role"] == "assistant":
            self.turns.append({"role": "user", "content": []})
        self.turns[-1]["content"].append(result)

    def _refuse_unanswered(self, message: Fields) -> None:
        if self._unanswered:
            raise invalid(message.where, "follows a tool call that has no result")


def _arguments(function: Fields) -> Raw:
    where = function.path("arguments")
    written = text(function.need("arguments"), where).strip() or "{}"
    arguments = written.encode()
    try:
        reject_unportable_object(arguments)
    except LineProblem as problem:
        raise invalid(where, f"must be a JSON object in a string, and is {problem.message}") from None
    return Raw(arguments)
