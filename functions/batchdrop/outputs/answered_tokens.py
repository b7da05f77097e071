"""The tokens that a job's answers add to its folder's history, from which later jobs are quoted. Pure."""

from collections.abc import Sequence

from batchdrop.aws.answer_history import AnsweredTokens, week_of
from batchdrop.batches.job_quote import RouteQuote
from batchdrop.inputs.fallbacks import Fallback
from batchdrop.manifest import ModelCounts

_MOST_ROUTES = 40  # they are written in the transaction that completes the job, which holds 100 items
_LONGEST_NAME = 250  # characters: the name of a model is in a key of 1,024 bytes


def answered_tokens(
    models: Sequence[ModelCounts], routes: Sequence[RouteQuote], *, now: int, fallback: Fallback | None = None
) -> list[AnsweredTokens]:
    """The tokens of each model that answered and was quoted; of very many models, those that answered most.

    Args:
        models: As the manifest counts them.
        routes: As the job was quoted.
        now: Seconds since 1970.
        fallback: The job's. Its own requests cannot be told apart from those that fell to it, which do not count.
    """
    # A quote of an earlier version has no input tokens: against none, what was answered would look too dear.
    quoted = {(each.provider, each.model, each.endpoint): each for each in routes if each.input_tokens}
    own = [each for each in models if fallback is None or not fallback.is_asked_for(each.provider, each.model)]
    known = [each for each in own if each.answered and (each.provider, each.model, each.endpoint) in quoted]
    short = [each for each in known if len(each.model) <= _LONGEST_NAME]
    return [
        _tokens(each, quoted[each.provider, each.model, each.endpoint], now)
        for each in sorted(short, key=lambda each: -each.answered)[:_MOST_ROUTES]
    ]


def _tokens(counts: ModelCounts, quoted: RouteQuote, now: int) -> AnsweredTokens:
    answers = counts.answered - counts.shared.answered  # quotes and tokens do not know the others
    return AnsweredTokens(
        week=week_of(now),
        provider=counts.provider,
        model=counts.model,
        endpoint=counts.endpoint,
        answers=answers,
        estimated=quoted.input_tokens * answers // max(quoted.requests, 1),
        input=counts.usage.input_tokens,
        output=counts.usage.output_tokens,
    )
