"""Types of usual lines: an envelope of strings around a body of texts and plain parameters. Pure.

No field may be null, or hold what is read of a line more closely than it is here.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

type _Whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
type _Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
type _Object = dict[str, Any]


class Part(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    role: str
    content: str | Annotated[list[Part], msgspec.Meta(min_length=1)]
    name: str | UnsetType = UNSET


class Chat(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A body of messages, for either vendor."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    max_tokens: _Count | UnsetType = UNSET
    max_completion_tokens: _Count | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    system: str | UnsetType = UNSET
    seed: _Whole | UnsetType = UNSET
    n: _Whole | UnsetType = UNSET
    stop: str | list[str] | UnsetType = UNSET
    stop_sequences: list[str] | UnsetType = UNSET
    presence_penalty: float | UnsetType = UNSET
    frequency_penalty: float | UnsetType = UNSET
    logprobs: bool | UnsetType = UNSET
    top_logprobs: _Whole | UnsetType = UNSET
    reasoning_effort: str | UnsetType = UNSET
    verbosity: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    store: bool | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET


class NestedChat(Chat, gc=False, forbid_unknown_fields=True):
    """The same with objects, whose depth and numbers nothing limits."""

    response_format: _Object | UnsetType = UNSET
    tools: list[_Object] | UnsetType = UNSET
    tool_choice: str | _Object | UnsetType = UNSET


class Input(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A body of one text."""

    model: str
    input: str
    dimensions: _Whole | UnsetType = UNSET
    encoding_format: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    max_output_tokens: _Count | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    store: bool | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET


class Envelope[Body](msgspec.Struct, gc=False, forbid_unknown_fields=True):
    custom_id: Raw
    url: str | UnsetType = UNSET
    method: Literal["POST"] | UnsetType = UNSET
    body: Body | UnsetType = UNSET
    params: Body | UnsetType = UNSET
