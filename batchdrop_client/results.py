"""One line's result, as it stands in results.jsonl, and what its answer says in one way for all endpoints."""

from array import array
from base64 import b64decode
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import msgspec
from batchdrop.manifest import Usage
from batchdrop.protocols.answer_texts import answer_in, text_in
from batchdrop.protocols.openai import EMBEDDINGS
from batchdrop.protocols.outcome import Answer
from batchdrop.result_line import AnsweredBy, Response, ResultError

from batchdrop_client.errors import NotJson


class _Vector(msgspec.Struct):
    embedding: list[float] | str


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class Result(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The result of one line of the input. `error` is None exactly when there is an answer.

    Attributes:
        line: Its number in the input, from 1; blank lines count.
        custom_id: The line's own, any JSON value; None where it has none.
        error: Why there is no answer: `code`, `message`, `source`, `retryable`.
        row: The columns that the job's template keeps; None where it keeps none.
        provider: Who was asked; None where nobody was, as are `model`, `endpoint` and `batch_id`.
        model: As the line names it.
        endpoint: Tells the shape of `body`.
        attempts: How often it was sent.
        via: How it was sent, the last time: "batch" or "realtime"; None where it was not.
        answered_by: The job's fallback, where it has the last word; None where `model` has.
        shared_with: The number of the line whose equal request was sent for this one, too; None where its own was. Its
            answer costs nothing more.
        response: What the provider sent, with its status; None where it sent nothing.
    """

    line: int
    custom_id: Any = None
    error: ResultError | None = None
    row: dict[str, Any] | None = None
    provider: str | None = None
    model: str | None = None
    endpoint: str | None = None
    batch_id: str | None = None
    attempts: int = 0
    via: str | None = "batch"
    answered_by: AnsweredBy | None = None
    shared_with: int | None = None
    response: Response | None = None

    @property
    def text(self) -> str | None:
        """The answer's text, its parts joined, or a refusal's words; "" for a tool call.

        None for an embedding, and where there is no answer.
        """
        if self.response is None or self.error is not None or self.endpoint == EMBEDDINGS:
            return None
        return text_in(self.endpoint, self.response.body)

    @cached_property
    def data(self) -> Any:  # noqa: ANN401 - any JSON value
        """The answer's text read as JSON; None where there is no text.

        Raises:
            NotJson: It is not JSON.
        """
        if not self.text:
            return None
        try:
            return msgspec.json.decode(self.text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotJson(f"Line {self.line}: the answer is not JSON ({error}).") from None

    @cached_property
    def embedding(self) -> list[float] | None:
        """The answer's first vector; None where there is none. `body` has the others."""
        if self.response is None or self.error is not None or self.endpoint != EMBEDDINGS:
            return None
        vector = msgspec.json.decode(self.response.body, type=_Vectors).data[0].embedding
        return vector if isinstance(vector, list) else list(array("f", b64decode(vector)))

    @cached_property
    def body(self) -> Any:  # noqa: ANN401 - the provider's own shape
        """The provider's own answer, or its error, as Python values; None where it sent nothing."""
        return None if self.response is None else msgspec.json.decode(self.response.body)

    @property
    def usage(self) -> Usage | None:
        """The answer's tokens; None where there is no answer."""
        return None if self._answer is None else self._answer.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in the provider's word; None where there is no answer."""
        return None if self._answer is None else self._answer.finish_reason

    @cached_property
    def _answer(self) -> Answer | None:
        if self.response is None or self.error is not None:
            return None
        return answer_in(self.endpoint, self.response.body)


_decode = msgspec.json.Decoder(Result).decode


def read_results(lines: Iterable[bytes]) -> Iterator[Result]:
    return map(_decode, lines)
