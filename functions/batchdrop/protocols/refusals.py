"""Refusals: the kind of a provider's "no", by its status, code and words, and what becomes of the batch. Pure.

The same table reads a call that was refused (4xx), a batch that failed as a whole, and the error rows of a batch.
`providers.toml` adds rules for servers whose words are not known here; they are read first.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from batchdrop.refusal_kinds import Kind


class RefusalRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for a server's refusals: it fits where all that is given fits.

    Attributes:
        kind: `account` pauses the provider, `passing` is tried again, `size` is cut, `model` is not sent again for a
            day, `lines` is searched for the line.
        status: The HTTP status.
        code: The error's code or type, in any case.
        words: What stands in the error's message, in any case.
    """

    kind: Kind
    status: int | None = None
    code: str | None = None
    words: str | None = None

    def fits(self, status: int | None, code: str | None, words: str) -> bool:
        """Return whether it speaks of this refusal; a rule with nothing but a kind fits none."""
        return (
            (self.status is not None or bool(self.code) or bool(self.words))
            and self.status in {None, status}
            and (not self.code or self.code.lower() == (code or "").lower())
            and (not self.words or self.words.lower() in words)
        )


class Action(StrEnum):
    PAUSE = "pause"  # the provider, and send the batch again afterwards
    WAIT = "wait"  # send the batch again in a while
    CUT = "cut"  # send it in smaller ones
    END = "end"  # its lines end with the provider's words


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The standing of a batch that was refused.

    Attributes:
        requests: How many it holds.
        tries: How often it was refused before for what passes.
        refused: How many pieces of the batch that it was cut from stand refused, itself included.
        is_taken: Whether the provider took one of these pieces.
        is_first: Whether nothing is known of this provider that says that it takes batches at all.
    """

    requests: int
    tries: int = 0
    refused: int = 1
    is_taken: bool = False
    is_first: bool = False


MOST_REFUSED = 64  # pieces of a batch, with none taken: then it is not a matter of single lines
MOST_SEARCHED = 1_000  # the same, where some were taken: a row each, and a call or two; OpenAI takes 2,000 an hour
PASSING_TRIES = 5
_READ_CHARACTERS = 2_000  # characters of a message: a server may quote a whole request
_ACCOUNT_STATUSES = frozenset({401, 402, 403})
_TOO_LARGE = 413  # HTTP's content too large

_BY_CODE: dict[str, Kind] = {
    # OpenAI's error codes (its guide to them, and its forum for those of the images); Anthropic's error types
    **dict.fromkeys(
        (
            "authentication_error",
            "billing_error",
            "invalid_api_key",
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
            "account_deactivated",
        ),
        Kind.ACCOUNT,
    ),
    # LiteLLM's proxy: BudgetExceededError, with "400" as its code
    "budget_exceeded": Kind.ACCOUNT,
    # OpenAI's files: the project's or the organization's storage is full
    **dict.fromkeys(("file_storage_full", "storage_quota_exceeded", "storage_limit_exceeded"), Kind.ACCOUNT),
    # OpenAI's batches that fail for want of room (openai-python#2084)
    **dict.fromkeys(("token_limit_exceeded", "too_many_tasks", "rate_limit_exceeded"), Kind.QUEUE),
    **dict.fromkeys(
        ("server_error", "internal_error", "internal_server_error", "timeout", "service_unavailable"), Kind.PASSING
    ),
    **dict.fromkeys(("file_too_large", "request_too_large", "payload_too_large", "batch_too_large"), Kind.SIZE),
    **dict.fromkeys(("model_not_batchable", "batch_not_supported", "model_not_supported_in_batch"), Kind.MODEL),
    # OpenAI's batches have one model and one endpoint: codes about them speak of all lines, whichever they name
    **dict.fromkeys(
        ("model_not_found", "mismatched_model", "invalid_url", "invalid_endpoint", "invalid_model"), Kind.BATCH
    ),
}

_MODEL_CODES = frozenset({"model_not_found", "invalid_model"})
_NOT_FOUND = "not_found_error"  # Anthropic's, of models and of files: "model: claude-…"
_NO_MODEL = (
    re.compile(  # OpenAI, and servers of its protocol: "The model `…` does not exist or you do not have access …"
        # One name between, at most: "Model output schema: property 'x' not found" speaks of a request.
        r"\s{0,9}(?:the |this )?model\s(?:\S{1,300}(?<![:,;])\s)?"
        r"(?:does not exist|(?:is |was )?not found|has been (?:deprecated|retired|shut down))",
        re.IGNORECASE | re.ASCII,
    )
)

# In lower case. The first that stands in a message tells; in an error row, the one that begins it.
_BY_WORDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (
        Kind.ACCOUNT,
        (
            "your credit balance is too low",  # Anthropic, as invalid_request_error (curator#296)
            "you have reached your specified api usage limits",  # Anthropic, the same: a workspace's spend limit
            "this organization has been disabled",  # Anthropic, the same
            "you exceeded your current quota",  # OpenAI, insufficient_quota
            "billing hard limit has been reached",  # OpenAI
            "your account is not active",  # OpenAI, billing_not_active
            "budget has been exceeded",  # LiteLLM
            "exceededbudget",  # LiteLLM, of a key or a team
            "file storage is full",  # OpenAI (curator#189)
            "exceeded your file storage quota",
            "exceed your file storage",
            "file storage quota",
            "file storage limit",
        ),
    ),
    (
        Kind.PASSING,
        (
            "cannot find file",  # OpenAI: of a file that was uploaded a moment ago, and for hours in incidents
            "file not found",
            "no such file",
            "does not have access",
            "could not parse the json body of your request",  # OpenAI: a body that was cut on its way
            "unexpected end of json",
            "unexpected end of file",
            "unexpected eof",
            "unexpected end of input",
            "unterminated string",
            "premature end",
            "incomplete body",
            "body is incomplete",
            "truncated",
            "failed to read request body",
            "error reading the request body",
            "content-length",
            "client disconnected",
        ),
    ),
    (
        Kind.SIZE,
        (
            "file is too large",
            "file too large",
            "file size exceeds",
            "maximum file size",
            "request is too large",
            "request too large",
            "request entity too large",
            "request exceeds the maximum size",  # Anthropic, request_too_large
            "request exceeds the maximum allowed number of bytes",
            "payload too large",
            "body is too large",
            "body too large",
            "batch is too large",
            "batch too large",
            "too many requests in the batch",
            "too many requests in this batch",
            "too many requests in a batch",
            "too many requests in the file",
            "too many lines",
        ),
    ),
)

# A sentence about a model, and no mere mention of one: "the parameter stream is not supported with model x in batches"
# speaks of a line. xAI: "Model … is not supported for batch processing." (xai-sdk-python#176)
_CANNOT = r"(?:is not|isn't|are not) (?:supported|available|enabled|allowed) (?:for|in|by|with|on) (?:the )?batch"
_SORTS = "(?:es| api| processing| inference| requests)?"
_NO_BATCHES = re.compile(
    rf"(?:^|[.:;\n])\s{{0,9}}(?P<sentence>(?:the |this )?model(?:\s\S{{1,300}})?\s"
    rf"(?:{_CANNOT}|(?:does not|doesn't) support (?:the )?batch|cannot be batched){_SORTS}\.?"
    rf"|(?:the )?batch{_SORTS} (?:is not|isn't|are not) (?:supported|available|enabled) "
    r"(?:for|with|by|on) (?:the |this )?model\.?)",
    re.IGNORECASE | re.ASCII,
)

_NUMBER = r"(?P<number>\d[\d,]{0,11})"
_RATE = r"(?!\s{0,3}(?:per|an?|each|/)\s{0,3}(?:second|minute|hour|day|sec|min))"
_AT_MOST = r"\b(?:at most|max(?:imum)?(?: of)?|limit(?: of| is)?|limited to|up to|no more than|more than|exceeds?)"
_REQUESTS = "(?:requests|lines|items|entries|records|rows)"
_REQUEST_LIMITS = (
    re.compile(rf"{_AT_MOST}\s{{1,3}}{_NUMBER}\s{{1,3}}(?P<noun>{_REQUESTS})\b{_RATE}", re.IGNORECASE | re.ASCII),
    re.compile(
        rf"\b(?P<noun>{_REQUESTS}) (?:per|in an?|in one|for an?) (?:batch|file)[^0-9]{{0,30}}\b{_NUMBER}\b",
        re.IGNORECASE | re.ASCII,
    ),
)
_HOLDS_REQUESTS = re.compile(r"\b(?:batch|file)\b", re.IGNORECASE)  # a field, too, may hold "at most 4 items"
_NAMED = (
    (re.compile(r"\brequests?[.\[](\d{1,6})\b", re.ASCII), 0),  # Anthropic: "requests.17.params.max_tokens: …"
    # OpenAI counts the lines of a file from 1; readers of JSON count those of one body: "line 1 column 4096".
    (re.compile(r"\bline (\d{1,6})\b(?!,? (?:col|char|pos))", re.IGNORECASE | re.ASCII), 1),
)


def classify(
    status: int | None,
    code: str | None,
    words: str,
    own: Sequence[RefusalRule] = (),
    *,
    of_row: bool = False,
) -> Kind:
    """The kind of a refusal, by code and by words.

    Args:
        status: Its HTTP status, where it has one.
        code: Its code, or its type.
        words: Its message.
        own: The provider's rules in `providers.toml`.
        of_row: It is the error of one request, which may quote it: its words must begin with what is known.
    """
    said = words[:_READ_CHARACTERS].lower()
    for rule in own:
        if rule.fits(status, code, said):
            return rule.kind
    by_code = _BY_CODE.get((code or "").lower())
    if by_code is not None:
        return by_code
    if status in _ACCOUNT_STATUSES:
        return Kind.ACCOUNT
    if status == _TOO_LARGE:
        return Kind.SIZE
    by_words = (
        kind
        for kind, phrases in _BY_WORDS
        if (said.startswith(phrases) if of_row else any(phrase in said for phrase in phrases))
    )
    return next(by_words, Kind.LINES if of_row else _by_sentence(words))


def _by_sentence(words: str) -> Kind:
    if refused_model(words) is not None:
        return Kind.MODEL
    return Kind.LINES if parse_request_limit(words) is None else Kind.SIZE


def decide(kind: Kind, standing: Standing) -> Action:
    """Decide what happens to a batch that was refused.

    A batch that is searched for its bad lines is cut until single ones stand refused. Where no piece is taken, and
    nothing else says that the provider takes batches, it is paused once before any line ends.
    """
    is_single, is_tried = standing.requests == 1, standing.tries >= PASSING_TRIES
    is_hopeless = standing.refused >= (MOST_SEARCHED if standing.is_taken else MOST_REFUSED)
    match kind:
        case Kind.ACCOUNT:
            return Action.PAUSE
        case Kind.LINES if standing.is_first and not standing.is_taken:
            return Action.PAUSE
        case Kind.QUEUE:
            return Action.WAIT
        case Kind.PASSING if not is_tried:
            return Action.WAIT
        case Kind.MODEL | Kind.BATCH:
            return Action.END
    return Action.END if is_single or (is_hopeless and kind is not Kind.SIZE) else Action.CUT


def refuses_model(code: str | None, words: str, own: Sequence[RefusalRule] = (), *, of_row: bool = True) -> bool:
    """Whether a refusal is for the model, so that another may take the same request. Arguments are as of `classify`."""
    named, said = (code or "").lower(), words[:_READ_CHARACTERS]
    names_model = _NO_MODEL.match(said) is not None or (named == _NOT_FOUND and said.lower().startswith("model"))
    return named in _MODEL_CODES or names_model or classify(None, code, words, own, of_row=of_row) is Kind.MODEL


def refused_model(words: str) -> str | None:
    """The sentence that says that a model is not taken in batches, and nothing around it; None where there is none."""
    found = _NO_BATCHES.search(words[:_READ_CHARACTERS])
    return found and found["sentence"]


def parse_request_limit(words: str) -> int | None:
    """Return how many requests a batch may hold, where a refusal says so ("at most 1,000 requests"); no rate is one."""
    said = words[:_READ_CHARACTERS].replace("_", " ")
    found = next(filter(None, (pattern.search(said) for pattern in _REQUEST_LIMITS)), None)
    if found is None:
        return None
    is_of_batch = _HOLDS_REQUESTS.search(said) and not any(pattern.search(said) for pattern, _ in _NAMED)
    return int(found["number"].replace(",", "")) or None if found["noun"].lower() == "requests" or is_of_batch else None


def named_request(words: str, *, requests: int, custom_ids: str) -> int | None:
    """The position of the one request that a refusal names, by its place or its custom_id; None where there is none.

    Args:
        words: The message.
        requests: How many requests the batch holds.
        custom_ids: What all custom_ids of the batch hold right before the position.
    """
    said = words[:_READ_CHARACTERS]
    patterns = ((re.compile(re.escape(custom_ids) + r"(\d{1,6})\b", re.ASCII), 0), *_NAMED)
    found = {int(each[1]) - first for pattern, first in patterns for each in pattern.finditer(said)}
    named = found.pop() if len(found) == 1 else None
    return named if named is not None and 0 <= named < requests else None
