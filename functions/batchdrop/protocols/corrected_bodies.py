"""Adds to a request what was wrong with its answer, as two turns: the answer, and what of it does not fit. Pure."""

import msgspec
from msgspec import Raw

from batchdrop.protocols import openai
from batchdrop.protocols.answer_checks import Misfit

_object = msgspec.json.Decoder(dict[str, Raw])
_turns = msgspec.json.Decoder(list[Raw])


def correct(body: bytes, endpoint: str, misfit: Misfit) -> bytes:
    """The body with two turns more; as it is where it has no turns."""
    name = "input" if endpoint == openai.RESPONSES else "messages"
    fields = _object.decode(body)
    if name not in fields:
        return body
    said = fields[name]
    is_text = bytes(memoryview(said)[:1]) == b'"'
    turns = [_turn("user", msgspec.json.decode(said))] if is_text else _turns.decode(said)
    turns += [_turn("assistant", misfit.text)] if misfit.text.strip() else []
    turns.append(_turn("user", _words(misfit)))
    fields[name] = Raw(msgspec.json.encode(turns))
    return msgspec.json.encode(fields)


def _turn(role: str, text: str) -> Raw:
    return Raw(msgspec.json.encode({"role": role, "content": text}))


def _words(misfit: Misfit) -> str:
    problems = "\n".join(f"- {each}" for each in misfit.problems)
    return (
        f"Your answer does not fit the JSON Schema that was asked for:\n{problems}\n"
        "Answer once more, with JSON that fits it and nothing else."
    )
