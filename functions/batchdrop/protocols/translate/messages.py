"""The conversation of a chat completion as Claude's system prompt and turns.

System and developer messages move to the front, in their order; the results of parallel calls share one user turn.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from batchdrop.protocols.duplicate_keys import reject_duplicate_keys
from batchdrop.protocols.json_text import reject_unportable_object
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.protocols.translate.content import Block, read_content, text_block
from batchdrop.protocols.translate.fields import Fields, invalid, objects, text, untranslatable
from batchdrop.result_line import ErrorCode

type Turn = dict[str, Any]

_NO_CALL_ID = re.compile(r"[^a-zA-Z0-9_-]")  # what Anthropic refuses in the id of a call
# Anthropic's own blocks, by the message that they may stand in; they are passed on as they are.
_OF_USERS = frozenset({"image", "document", "search_result", "container_upload"})
_OF_ASSISTANTS = frozenset({"thinking", "redacted_thinking"})
_OF_TOOLS = frozenset({"image", "document", "search_result"})


class Conversation:
    """Reads messages one by one. Every call must be answered in the messages right after it, as both vendors ask.

    Attributes:
        system: The system prompt's blocks.
        turns: Claude's messages.
    """

    def __init__(self) -> None:
        self.system: list[Block] = []
        self.turns: list[Turn] = []
        self._ids: set[str] = set()  # that were given to calls
        self._repeats: defaultdict[str, int] = defaultdict(int)  # of an id: the last number that was tried behind it
        self._unanswered: dict[str, str] = {}  # the ids that they were given, by their own

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

    @property
    def goes_on_from_results(self) -> bool:
        """Whether it ends in results of calls that come without what was thought before them."""
        ends_in_results = bool(self.turns) and any(
            block["type"] == "tool_result" for block in self.turns[-1]["content"]
        )
        return ends_in_results and _type_of(self.turns[-2]["content"][0]) not in _OF_ASSISTANTS

    def _read(self, message: Fields, role: str | None) -> None:
        match role:
            case "system" | "developer":
                self.system += read_content(message, ("text",))
            case "user":
                self._refuse_unanswered(message)
                self._add("user", message, read_content(message, ("text", "image_url", "file"), _OF_USERS))
            case "assistant":
                self._refuse_unanswered(message)
                self._add("assistant", message, self._assistant(message))
            case "tool":
                message.take("name")  # the function's, which the call names too
                self._answer(message, "tool_call_id")
            case "function":
                self._answer(message, "name")
            case _:
                raise invalid(message.path("role"), "must be system, developer, user, assistant or tool")

    def _add(self, role: str, message: Fields, blocks: list[Block]) -> None:
        if not blocks:
            raise invalid(message.where, "is empty: Claude takes no message without content")
        self.turns.append({"role": role, "content": blocks})

    def _assistant(self, message: Fields) -> list[Block]:
        blocks = read_content(message, ("text", "refusal"), _OF_ASSISTANTS)
        if (refusal := message.take("refusal")) is not None and (block := text_block(refusal, message.path("refusal"))):
            blocks.append(block)
        if (calls := message.take("tool_calls")) is not None:
            blocks += map(self._call, objects(calls, message.path("tool_calls"), message.droppable))
        if (function := message.take("function_call")) is not None:
            blocks.append(self._function_call(Fields(function, message.path("function_call"), message.droppable)))
        return blocks

    def _call(self, call: Fields) -> Block:
        call_id = text(call.need("id"), call.path("id"))
        if not call_id or call_id in self._unanswered:
            raise invalid(call.path("id"), "must be another for each call of a message, and not empty")
        if call.text("type") not in {"function", None}:
            raise untranslatable(f'"{call.where}", a call of another type than "function",', "make it a function")
        function = call.object("function")
        block = self._tool_use(call_id, function) | call.take_all(("cache_control",))
        call.close()
        return block

    def _function_call(self, function: Fields) -> Block:
        """A call in the form of before tools: it has no id, and is answered by its function's name."""
        block = self._tool_use("function_call", function)
        self._unanswered = {block["name"]: block["id"]}
        return block

    def _tool_use(self, call_id: str, function: Fields) -> Block:
        name = text(function.need("name"), function.path("name"))
        arguments = _arguments(function)
        function.close()
        given = self._unanswered[call_id] = self._new_id(call_id)
        return {"type": "tool_use", "id": given, "name": name, "input": arguments}

    def _new_id(self, call_id: str) -> str:
        """The same id in Anthropic's letters, and another for each call."""
        given = spelled = _NO_CALL_ID.sub("_", call_id)
        while given in self._ids:
            self._repeats[spelled] += 1  # and never back: of thousands of the same id, none tries all numbers again
            given = f"{spelled}_{self._repeats[spelled]}"
        self._ids.add(given)
        return given

    def _answer(self, message: Fields, name: str) -> None:
        call_id = text(message.need(name), message.path(name))
        given = self._unanswered.pop(call_id, None)
        if given is None:
            raise invalid(message.path(name), "answers no call of the assistant's message before it")
        cached = message.take_all(("cache_control",))
        content = read_content(message, ("text",), _OF_TOOLS)
        if self.turns[-1]["role"] == "assistant":
            self.turns.append({"role": "user", "content": []})
        self.turns[-1]["content"].append({"type": "tool_result", "tool_use_id": given, "content": content} | cached)

    def _refuse_unanswered(self, message: Fields) -> None:
        if self._unanswered:
            raise invalid(message.where, "follows a tool call that has no result")


def _type_of(block: Block) -> str:
    kind = block["type"]
    return text(kind, "type") if isinstance(kind, Raw) else kind


def _arguments(function: Fields) -> Raw:
    where = function.path("arguments")
    written = text(function.need("arguments"), where).strip() or "{}"
    arguments = written.encode()
    try:
        reject_unportable_object(arguments)
        reject_duplicate_keys(arguments)
    except LineProblem as problem:
        raise invalid(where, f"must be a JSON object in a string, and is {problem.message}") from None
    return Raw(arguments)
