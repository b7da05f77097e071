"""The limits of a provider, in batches and at real time, as `providers.toml` states them."""

from typing import Annotated

import msgspec

_AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
_Concurrency = Annotated[int, msgspec.Meta(ge=1, le=100)]  # each is a thread, and an answer in memory


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of one batch, and of all batches together.

    Attributes:
        requests_per_batch: OpenAI takes 50,000 requests a batch, Anthropic 100,000 (their documentation).
        bytes_per_batch: OpenAI documents 200 MB, but an upload of 158 MB was refused with 413; Anthropic takes 256 MB.
        enqueued_tokens: Prompt tokens in unfinished batches, per model (protocol openai). Not in OpenAI's API: the
            dashboard shows it. An unknown limit is taken as 2 million.
        queued_requests: Requests in unfinished batches, over all models (protocol anthropic); 200,000 in its lowest
            tier.
        batches_per_hour: Creates within any 60 minutes; None where no such limit is known.
        realtime_requests_per_minute: Calls for jobs with a deadline; the default is what the lowest tiers allow.
        realtime_tokens_per_minute: The same, of input tokens as estimated from bytes.
        realtime_concurrency: Calls that run at once.
    """

    requests_per_batch: _AtLeastOne = 50_000
    bytes_per_batch: _AtLeastOne = 90_000_000
    enqueued_tokens: _AtLeastOne = 2_000_000
    queued_requests: _AtLeastOne = 200_000
    batches_per_hour: _AtLeastOne | None = None
    realtime_requests_per_minute: _AtLeastOne = 50
    realtime_tokens_per_minute: _AtLeastOne = 30_000
    realtime_concurrency: _Concurrency = 8
