"""Chooses a protocol's readers of result lines, once for a batch."""

from collections.abc import Callable

import msgspec

from batchdrop.protocols import anthropic_results, openai_results
from batchdrop.protocols.outcome import Answer, Outcome
from batchdrop.protocols.usual_rows import AnthropicRows, OpenAIRows, UsualReader
from batchdrop.records import Protocol


def outcome_reader(protocol: Protocol) -> Callable[[bytes], Outcome]:
    return anthropic_results.read_outcome if protocol is Protocol.ANTHROPIC else openai_results.read_outcome


def answer_reader(protocol: Protocol) -> Callable[[msgspec.Raw], Answer]:
    return anthropic_results.read_answer if protocol is Protocol.ANTHROPIC else openai_results.read_answer


def usual_reader(protocol: Protocol) -> UsualReader:
    """Reads many rows at once where all are usual answers."""
    return AnthropicRows() if protocol is Protocol.ANTHROPIC else OpenAIRows()
