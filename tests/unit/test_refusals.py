"""What a provider's refusal means, and what becomes of the batch: the table, line by line."""

import pytest
from batchdrop.protocols.openai_failures import judge_failures
from batchdrop.protocols.outcome import Failure
from batchdrop.protocols.refusals import (
    MOST_REFUSED,
    MOST_SEARCHED,
    PASSING_TRIES,
    Action,
    RefusalRule,
    Standing,
    classify,
    decide,
    named_request,
    parse_request_limit,
    refuses_model,
)
from batchdrop.refusal_kinds import Kind

INVALID = "invalid_request_error"
SPENT = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
NO_CREDIT = "Your credit balance is too low to access the Anthropic API."
STORAGE = "File storage is full: 100 GB. Delete files, or send smaller ones. (exceeded your file storage quota)"
NO_FILE = "Cannot find file file-1, or the project does not have access to it."
CANNOT = "is not supported for batch processing."
CUT_BODY = "We could not parse the JSON body of your request. (HINT: This likely means …)"


@pytest.mark.parametrize(
    ("status", "code", "words", "kind"),
    [
        (400, INVALID, STORAGE, Kind.ACCOUNT),
        (400, INVALID, SPENT, Kind.ACCOUNT),
        (400, INVALID, NO_CREDIT, Kind.ACCOUNT),
        (400, "billing_hard_limit_reached", "Billing hard limit has been reached", Kind.ACCOUNT),
        (400, None, "Billing hard limit has been reached", Kind.ACCOUNT),
        (400, "budget_exceeded", "Budget has been exceeded! Current cost: 7, Max budget: 5", Kind.ACCOUNT),
        (400, "BUDGET_EXCEEDED", "", Kind.ACCOUNT),
        (429, "insufficient_quota", "You exceeded your current quota, please check your plan.", Kind.ACCOUNT),
        (401, None, "", Kind.ACCOUNT),
        (402, "anything", "", Kind.ACCOUNT),
        (400, "token_limit_exceeded", "", Kind.QUEUE),
        (429, "rate_limit_exceeded", "Too many requests per minute.", Kind.QUEUE),
        (400, INVALID, NO_FILE, Kind.PASSING),
        (400, "invalid_request", "No such file: file-1", Kind.PASSING),
        (400, None, CUT_BODY, Kind.PASSING),
        (400, None, "unexpected end of JSON input", Kind.PASSING),
        (None, "server_error", "", Kind.PASSING),
        (413, None, "", Kind.SIZE),
        (400, INVALID, "File is too large.", Kind.SIZE),
        (400, INVALID, "A batch may hold at most 1,000 requests.", Kind.SIZE),
        (400, INVALID, "Too many requests in this batch.", Kind.SIZE),
        (400, INVALID, "Model grok-4.5 is not supported for batch processing.", Kind.MODEL),
        (None, None, "This model does not support batches.", Kind.MODEL),
        (400, INVALID, "JSONL file validation failed:\n  Model m is not supported for batch processing.", Kind.MODEL),
        (400, INVALID, "The model `gpt-5-pro` is not supported in the Batch API.", Kind.MODEL),
        (400, INVALID, "Batch is not supported for this model.", Kind.MODEL),
        (400, INVALID, "Line 5: the parameter stream is not supported in the Batch API", Kind.LINES),
        (400, INVALID, "requests.5.params.speed: fast mode is not supported in batch requests", Kind.LINES),
        (400, INVALID, "stream with model gpt-4o is not supported in the batch API", Kind.LINES),
        (400, INVALID, "Tools do not go with model m: they are not supported in batch", Kind.LINES),
        (400, INVALID, "Too many requests in a short time.", Kind.LINES),
        (400, "model_not_found", "The project does not have access to this model.", Kind.BATCH),
        (400, "mismatched_model", "", Kind.BATCH),
        (400, INVALID, "max_tokens is too large: 999999.", Kind.LINES),
        (400, INVALID, "requests.17.params.max_tokens: Field required", Kind.LINES),
        (422, None, "", Kind.LINES),
        (None, None, "", Kind.LINES),
    ],
)
def test_the_kind_of_a_refusal(status: int | None, code: str | None, words: str, kind: Kind) -> None:
    assert classify(status, code, words) is kind


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        ("insufficient_quota", "", Kind.ACCOUNT),
        ("invalid_request_error", NO_CREDIT, Kind.ACCOUNT),
        ("invalid_request_error", f"The prompt is odd: {NO_CREDIT}", Kind.LINES),
        ("invalid_value", f"Invalid value: '{SPENT}'", Kind.LINES),
        ("invalid_value", "At most 100 lines may be given.", Kind.LINES),
    ],
)
def test_a_line_that_quotes_an_empty_account_is_no_empty_account(code: str, words: str, kind: Kind) -> None:
    assert classify(None, code, words, of_row=True) is kind


def test_a_provider_has_rules_of_its_own_that_are_read_first() -> None:
    own = (
        RefusalRule(kind=Kind.ACCOUNT, code="team_frozen"),
        RefusalRule(kind=Kind.PASSING, status=400, words="Warming UP"),
        RefusalRule(kind=Kind.LINES, words="file is too large"),
        RefusalRule(kind=Kind.ACCOUNT),
    )
    assert classify(400, "TEAM_frozen", "", own) is Kind.ACCOUNT
    assert classify(400, None, "the pool is warming up", own) is Kind.PASSING
    assert classify(422, None, "the pool is warming up", own) is Kind.LINES
    assert classify(400, None, "The file is too large.", own) is Kind.LINES
    assert classify(400, None, "anything", own) is Kind.LINES


def standing(requests: int = 2, **known: int) -> Standing:
    return Standing(requests=requests, **known)  # type: ignore[arg-type]  # True and False among them


@pytest.mark.parametrize(
    ("kind", "known", "action"),
    [
        (Kind.ACCOUNT, standing(), Action.PAUSE),
        (Kind.ACCOUNT, standing(1, refused=999), Action.PAUSE),
        (Kind.QUEUE, standing(), Action.WAIT),
        (Kind.PASSING, standing(1), Action.WAIT),
        (Kind.PASSING, standing(tries=PASSING_TRIES - 1), Action.WAIT),
        (Kind.PASSING, standing(tries=PASSING_TRIES), Action.CUT),
        (Kind.PASSING, standing(1, tries=PASSING_TRIES), Action.END),
        (Kind.SIZE, standing(), Action.CUT),
        (Kind.SIZE, standing(refused=MOST_REFUSED), Action.CUT),
        (Kind.SIZE, standing(1), Action.END),
        (Kind.BATCH, standing(), Action.END),
        (Kind.MODEL, standing(), Action.END),
        (Kind.LINES, standing(is_first=True), Action.PAUSE),
        (Kind.LINES, standing(1, is_first=True), Action.PAUSE),
        (Kind.LINES, standing(is_first=True, is_taken=True), Action.CUT),
        (Kind.LINES, standing(), Action.CUT),
        (Kind.LINES, standing(1), Action.END),
        (Kind.LINES, standing(refused=MOST_REFUSED - 1), Action.CUT),
        (Kind.LINES, standing(refused=MOST_REFUSED), Action.END),
        (Kind.LINES, standing(refused=MOST_SEARCHED - 1, is_taken=True), Action.CUT),
        (Kind.LINES, standing(refused=MOST_SEARCHED, is_taken=True), Action.END),
    ],
)
def test_what_becomes_of_a_refused_batch(kind: Kind, known: Standing, action: Action) -> None:
    assert decide(kind, known) is action


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("A batch may hold at most 1000 requests.", 1_000),
        ("The batch exceeds the maximum of 1,000 requests", 1_000),
        ("20,000 lines were sent, up to 1,000 lines are taken in a file", 1_000),
        ("a batch is limited to 500 entries", 500),
        ("limited to 500 entries", None),
        ("requests.7.params.stop_sequences: List should have at most 4 items after validation, not 5", None),
        ("The batch is refused: requests.7.params.stop_sequences: at most 4 items", None),
        ("Maximum number of requests per batch is 8.", 8),
        ("max_requests_per_batch: 250", 250),
        ("requests_per_batch must be at most 250 requests", 250),
        ("at most 1000 requests per minute", None),
        ("at most 1000 requests a day", None),
        ("at most 0 requests", None),
        ("File is too large.", None),
        ("at most " + "9" * 50 + " requests", None),
        ("", None),
    ],
)
def test_a_refusal_tells_how_many_requests_a_batch_may_hold(words: str, limit: int | None) -> None:
    assert parse_request_limit(words) == limit


@pytest.mark.parametrize(
    ("words", "position"),
    [
        ("requests.17.params.max_tokens: Field required", 17),
        ("requests[3].params: bad", 3),
        ('custom_id "test-0123-5" is odd', 5),
        ('custom_id "another-5" is odd', None),
        ("Line 4 is not JSON", 3),
        ("Unterminated string starting at: line 1 column 4096 (char 4095)", None),
        ("unexpected end of input, line 1, column 7", None),
        ("line 0 is not JSON", None),
        ("requests.17.params, requests.18.params", None),
        ("requests.20.params", None),
        ("requests.999999999.params", None),
        ("the body is odd", None),
        ("", None),
    ],
)
def test_a_refusal_names_one_request(words: str, position: int | None) -> None:
    assert named_request(words, requests=20, custom_ids="test-0123-") == position


@pytest.mark.parametrize(
    ("failures", "kind", "lines"),
    [
        ([("invalid_json_line", "", 2)], Kind.LINES, [2]),
        ([("invalid_json_line", "", 2), ("invalid_json_line", "", 4)], Kind.LINES, [2, 4]),
        ([("invalid_json_line", "", 99)], Kind.LINES, []),
        ([("invalid_json_line", "Unterminated string", 2)], Kind.LINES, [2]),
        ([("invalid_request", "the parameter stream is not supported in batch", 2)], Kind.LINES, [2]),
        ([("invalid_request", f"Model m {CANNOT}", 2)], Kind.MODEL, []),
        ([("model_not_found", "", 1)], Kind.BATCH, []),
        ([("insufficient_quota", "", 1)], Kind.ACCOUNT, []),
        ([("invalid_json_line", "", 1), ("invalid_request", NO_CREDIT, None)], Kind.ACCOUNT, []),
        ([("invalid_request", NO_FILE, None)], Kind.PASSING, []),
        ([("invalid_request", STORAGE, None)], Kind.ACCOUNT, []),
        ([("never_heard_of", "", None)], Kind.LINES, []),
        ([], Kind.LINES, []),
    ],
)
def test_whose_fault_a_failed_batch_was(
    failures: list[tuple[str, str, int | None]], kind: Kind, lines: list[int]
) -> None:
    said = tuple(Failure(code=code, message=message, line=line) for code, message, line in failures)
    judged = judge_failures(said, requests=5)
    assert (judged.kind, [each.line for each in judged.refused]) == (kind, lines)


@pytest.mark.parametrize(
    ("code", "words", "is_models"),
    [
        ("model_not_found", "", True),
        ("invalid_request_error", "The model `gpt-4` does not exist or you do not have access to it.", True),
        ("NotFoundError", "The model `llama` does not exist.", True),
        (None, "The model `gpt-3` has been deprecated, learn more here.", True),
        ("not_found_error", "model: claude-2", True),
        (None, "model 'llama3:8b' not found, try pulling it first", True),
        (None, "Model not found: x", True),
        (None, "The model was not found.", True),
        ("invalid_request_error", "Model output schema: property 'x' not found", False),
        ("invalid_request_error", "Model schema: not found", False),
        ("invalid_request_error", "The model cannot use the tool 'x': it does not exist", False),
        ("invalid_request_error", "model\n'a' and\nfile 'b' not found", False),
        ("model_not_batchable", "", True),
        ("not_found_error", "File not found: file_1", False),
        ("invalid_request_error", "messages: the text says that the model x does not exist", False),
        ("invalid_request_error", "max_tokens is too large", False),
        ("mismatched_model", "The provided model 'a' does not match the model 'b'", False),
        ("context_length_exceeded", "This model's maximum context length is 8192 tokens.", False),
        ("previous_response_not_found", "Previous response with id 'resp_1' not found.", False),
    ],
)
def test_a_refusal_of_a_model_is_told_from_one_of_a_request(code: str | None, words: str, *, is_models: bool) -> None:
    assert refuses_model(code, words) is is_models
