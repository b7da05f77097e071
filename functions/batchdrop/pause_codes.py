"""Why a provider is paused, in a word that the command understands; the reason says it to people."""

from enum import StrEnum


class PauseCode(StrEnum):
    NO_KEY = "no_key"  # there is none, or an empty one
    KEY_REFUSED = "key_refused"
    ACCOUNT_REFUSED = "account_refused"  # no credit, a spent budget, a full file storage, another's key
    CALLS_FAILED = "calls_failed"  # several in a row: an outage, or a wrong address
    BATCH_REFUSED = "batch_refused"  # as a whole, and nobody knows why
