"""What the reply to a call at real time means: one table."""

import json

import pytest
from batchdrop.batches.reply_decision import Then, meaning_of
from batchdrop.providers.interface import Reply


def said(status: int, code: str = "", message: str = "", *, page: bool = False, after: float | None = None) -> Reply:
    error = {"type": code or "some_error", "code": code or None, "message": message}
    body = b"<html>gateway</html>" if page else json.dumps({"error": error}).encode()
    return Reply(status=status, body=body, retry_after=after)


K, A, D, S = Then.KEEP, Then.AGAIN, Then.DOUBT, Then.STOP


@pytest.mark.parametrize(
    ("reply", "tries", "then", "wait"),
    [
        (said(200), 0, K, 0),
        (said(201), 9, K, 0),
        (said(400), 0, K, 0),
        (said(404, "model_not_found"), 0, K, 0),
        (said(413), 0, K, 0),
        (said(422), 0, K, 0),
        (said(401), 0, S, 0),
        (said(403), 0, S, 0),
        (said(402, "billing_error"), 0, S, 0),
        (said(429, "insufficient_quota"), 0, S, 0),
        (said(301), 0, S, 0),
        (said(429, "rate_limit_exceeded"), 0, A, 1),
        (said(429, "rate_limit_exceeded"), 4, A, 16),
        (said(429, "rate_limit_exceeded"), 9, A, 60),
        (said(429, "rate_limit_exceeded", after=7.5), 2, A, 7.5),
        (said(429, "rate_limit_exceeded", after=0), 3, A, 8),
        (said(429, "rate_limit_exceeded", after=999_999_999), 0, A, 900),
        (said(429, "rate_limit_exceeded"), 10, A, 300),
        (said(429, "rate_limit_exceeded", after=600), 10, A, 600),
        (said(429, "rate_limit_exceeded"), 99, A, 300),
        (said(429, page=True), 0, A, 1),
        (said(500), 0, A, 1),
        (said(503), 2, A, 4),
        (said(529, "overloaded_error"), 0, A, 1),
        (said(529, "overloaded_error", after=30), 1, A, 30),
        (said(529, "overloaded_error"), 3, K, 8),
        (said(504), 0, D, 1),
        (said(408), 0, D, 1),
        (said(500, "timeout_error"), 0, D, 1),
        (said(400, "timeout"), 0, D, 1),
        (said(502, page=True), 0, D, 1),
        (said(524, page=True), 0, D, 1),
    ],
)
def test_a_reply_is_kept_called_again_doubted_or_stops_all_calls(
    reply: Reply, tries: int, then: Then, wait: float
) -> None:
    meaning = meaning_of(reply, tries, ())
    assert (meaning.then, meaning.wait) == (then, wait)
    assert (meaning.refused is not None) is (then is S)
    assert meaning.is_outage is (then is D or (reply.status >= 500 and then in {A, K}))
