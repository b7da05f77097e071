"""Chooses a protocol's reader of result lines, once for a batch."""

from collections.abc import Callable

import msgspec

from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.outcome import Answer, Outcome
from batchdrop.records import Protocol


def outcome_reader(protocol: Protocol) -> Callable[[bytes], Outcome]:
    return anthropic.read_outcome if protocol is Protocol.ANTHROPIC else openai.read_outcome


def answer_reader(protocol: Protocol) -> Callable[[msgspec.Raw], Answer]:
    return anthropic.read_answer if protocol is Protocol.ANTHROPIC else openai.read_answer
