"""The kinds of a provider's "no": what it is about decides what becomes of the batch (`protocols/refusals`)."""

from enum import StrEnum


class Kind(StrEnum):
    ACCOUNT = "account"  # no credit, a spent budget, a full file storage: nobody's line
    QUEUE = "queue"  # too many tokens or tasks are enqueued
    PASSING = "passing"  # a file that is not known yet, a body that was cut on its way, an incident
    SIZE = "size"  # too many bytes or requests in one batch
    MODEL = "model"  # the model is not taken in batches, at this endpoint: so it is for a day
    BATCH = "batch"  # the model or the endpoint: every request of the batch has the same
    LINES = "lines"  # whatever else: one of the requests, perhaps
