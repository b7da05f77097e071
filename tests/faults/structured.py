"""Jobs with an output schema: what their requests ask for, and the answer that is a result's own."""

import json
from functools import cache
from typing import Any, NamedTuple

from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.corrected_bodies import correct
from batchdrop.protocols.output_schemas import OutputSchema
from faking.lines import CHAT, MESSAGES
from msgspec import Raw

from provider_simulator.answers import content, respond
from provider_simulator.facts import PLAIN, Style

SCHEMA = b'{"type":"object","properties":{"label":{"type":"string"}},"required":["label"],"additionalProperties":false}'
_MISFIT = Style(misfits=True)

Line = dict[str, Any]


class Structured(NamedTuple):
    """A job whose answers are to fit `SCHEMA`.

    Attributes:
        retry: Its `schema_retry`.
        style: How the answers are that are taken.
    """

    retry: str = "same"
    style: Style = PLAIN

    @property
    def settings(self) -> bytes:
        return b"output_schema = '%b'\nschema_retry = \"%b\"\n" % (SCHEMA, self.retry.encode())

    def own_answer(self, line: Line, attempts: int) -> tuple[str, Any]:
        """The endpoint of a line, and the answer to its last attempt if none before it had one that fits."""
        sent = asked(line, SCHEMA)
        for _ in range(attempts - 1 if self.retry == "with_errors" else 0):
            sent = _corrected(sent)
        form, endpoint = _form(sent)
        return endpoint, content(endpoint, respond(endpoint, sent[form], created=0, style=self.style))


def asked(line: Line, schema: bytes) -> Line:
    """A line as it would ask for a schema by itself."""
    form, endpoint = _form(line)
    body, _ = _formats(schema).add(Raw(json.dumps(line[form]).encode()), endpoint, is_claude=form == "params")
    return line | {form: json.loads(bytes(body))}


def _corrected(line: Line) -> Line:
    """The same with an answer that does not fit, and what is wrong with it."""
    form, endpoint = _form(line)
    answer = respond(endpoint, line[form], created=0, style=_MISFIT)
    misfit = _check(SCHEMA).misfit(endpoint, Raw(json.dumps(answer).encode()))
    return line | {form: json.loads(correct(json.dumps(line[form]).encode(), endpoint, misfit))}


def _form(line: Line) -> tuple[str, str]:
    return ("params", MESSAGES) if "params" in line else ("body", CHAT)


@cache
def _formats(schema: bytes) -> OutputFormats:
    return OutputFormats(OutputSchema(schema))


@cache
def _check(schema: bytes) -> AnswerCheck:
    return AnswerCheck(schema)
