"""Refused models: a model that a provider does not take in batches is not sent to it again for a day.

A batch of OpenAI's protocol has one model and one endpoint, so that its refusal speaks of all batches of both.
Anthropic's mix models: there each request has its own error, and nothing is learned.
"""

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.keys import refused_model_key
from batchdrop.batches.retry_rounds import close_batch
from batchdrop.batches.sent_again import falls_whole
from batchdrop.limits.ledgers import LEARNED_SECONDS, is_refused
from batchdrop.protocols.refusals import refused_model
from batchdrop.records import Batch
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import ErrorCode
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.texts import cut

logger = Logger(child=True)

MAX_WORDS_BYTES = 4_096  # of a provider's message in a result


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's words on a batch."""

    message: str


def learn_refused_model(batch: Batch, words: str, services: Services) -> None:
    """Believe for a day that the batch's model is not taken in batches; the words first, then the row that names them.

    Others' lines will end with the words: the sentence about the model alone is kept, for the rest may quote a prompt.

    Args:
        batch: It was refused, or failed as a whole, for its model.
        words: What the provider said.
        services: The services.
    """
    sentence = refused_model(words)
    key = None if sentence is None else refused_model_key(batch.ledger, batch.endpoint)
    if key is not None and sentence is not None:
        put_words(key, batch, sentence, services)
    services.store.providers.learn_refused_model(batch.ledger, batch.endpoint, key, services.now() + LEARNED_SECONDS)


def end_refused_model(batch: Batch, services: Services) -> bool:
    """End a waiting batch whose model the provider refused lately, without sending it; False where it did not."""
    ledger = services.store.providers.ledger(batch.ledger)
    if not is_refused(batch, services.providers[batch.provider], ledger, services.now()):
        return False
    claimed = services.store.claim(batch, services.settings.lease_seconds)
    falls = falls_whole(batch, services.store.job(batch.job))
    logger.error("lines not sent: their model is not taken in batches", batch=batch.id)
    ended: BatchChanges = {
        **falls,
        "failure_code": ErrorCode.NOT_BATCHABLE,
        "refused_as": Kind.MODEL,
        "refused_key": ledger.refused_key,
        "ended_at": services.now(),
        "due_at": None,
    }
    close_batch(claimed.with_(**falls), BatchState.FAILED, services, **ended)
    return True


def put_words(key: str, batch: Batch, words: str, services: Services) -> None:
    """Keep what a provider said of a batch, without the key that it may quote."""
    message = cut(services.apis.hide_key(batch.provider, words), MAX_WORDS_BYTES)
    services.files.put(key, msgspec.json.encode(Words(message=message)), content_type="application/json")
