"""A bucket and a table as they are after some weeks: jobs in every state, for the console's pages and pictures."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate, repeat

import msgspec
from batchdrop.aws.keys import output_prefix, quote_key
from batchdrop.aws.pause_history import PauseTimes, history_key
from batchdrop.aws.table_items import encode
from batchdrop.batches.completion_times import count_completion
from batchdrop.batches.job_quote import JobQuote
from batchdrop.manifest import Counts, File, Files, Input, Manifest, ModelCounts, ResultsFile, Times, Usage, timestamp
from batchdrop.money import Money, PriceSource, Quote, QuotedTokens, TokenRange
from batchdrop.pause_codes import PauseCode
from batchdrop.records import Batch, Job, JobSettings
from batchdrop.states import BatchState, JobState

from faking.cloud import BUCKET, TABLE, Cloud
from faking.rows import a_batch, a_job

DAY, HOUR, MINUTE = 86_400, 3_600, 60
PAYLOADS = (
    "<script>document.title='owned'</script>",
    "\"><img src=x onerror=document.title='owned'>",
    "' onmouseover='document.title=\"owned\"' x='",
    "javascript:document.title='owned'",
)
_PRICES = PriceSource(source="genai-prices 0.2.3", date="2026-11-27")
_REVIEWS = (
    "The battery lasts three days, and the screen is a joy.",
    "It came a week late, in a box that somebody had opened.",
    "Good sound. The app, well: no.",
)
_TEXTS = (
    "Positive. The reviewer praises the battery and the screen.",
    "Negative. The parcel came late and the box was open.",
    "Mixed. The sound is good, the app is not.",
)


class Scene:
    """Adds jobs to a cloud; `now` is the moment at which it is looked at."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self.now = cloud, cloud.clock.seconds()
        self._ids = accumulate(repeat(1))
        self.jobs: dict[str, str] = {}

    def build(self) -> "Scene":
        self._running()
        self._held()
        self._finished("nightly", "input/shop/reviews-2026-11-26.jsonl", age=20 * HOUR, lines=12_400, failed=31)
        self._failed()
        self._hostile()
        for back in range(1, 19):
            key = f"input/{'support/tickets' if back % 3 else 'shop/reviews'}-{self._date(back)}.jsonl"
            self._finished(f"day-{back}", key, age=back * DAY + 5 * HOUR, lines=4_000 + 613 * (back % 7), failed=0)
        self._providers()
        return self

    def _date(self, back: int) -> str:
        return datetime.fromtimestamp(self.now - back * DAY, UTC).strftime("%Y-%m-%d")

    def job(self, name: str, key: str, *, age: int, summary: str | None = None, **changes: object) -> Job:
        dropped = self.now - age
        id_ = f"{datetime.fromtimestamp(dropped, UTC):%Y%m%dT%H%M%SZ}-{next(self._ids):010x}"
        settings = changes.pop("settings", JobSettings(summary=summary))
        usual = {"bucket": BUCKET, "splits": 1, "unplanned": 0, "unassembled": 1, "due_at": None, "bytes": 4_812_331}
        job = a_job(job=id_, key=key, dropped_at=dropped, settings=settings, **(usual | changes))
        self.jobs[name] = job.id
        return job

    def add(self, job: Job, *batches: Batch) -> None:
        for row in (job, *batches):
            self._cloud.services.store.add(row)

    def _running(self) -> None:
        job = self.job(
            "running",
            "input/shop/catalogue-translation.jsonl",
            age=3 * HOUR,
            summary="Translate the autumn catalogue into 25 languages",
            state=JobState.RUNNING,
            bytes=17_062_500,
        )
        job = self._quoted(job, "11.20", "14.85", "22.40")
        at = job.dropped_at
        expired = {"again": 212, "ended_as": "expired", "id": "00001-0-0001", "split": 1}
        states: list[tuple[str, BatchState, int | None, int | None, dict[str, object]]] = [
            ("gpt-4o-mini", BatchState.COLLECTED, 4 * MINUTE, 70 * MINUTE, {"again": 0}),
            ("gpt-4o-mini", BatchState.COLLECTED, 4 * MINUTE, 95 * MINUTE, expired),
            ("gpt-4o-mini", BatchState.IN_FLIGHT, 80 * MINUTE, None, {}),
            ("gpt-4o-mini", BatchState.WAITING, None, None, {}),
            ("claude-haiku-4-5", BatchState.ENDED, 12 * MINUTE, 176 * MINUTE, {}),
            ("claude-haiku-4-5", BatchState.IN_FLIGHT, 40 * MINUTE, None, {}),
        ]
        batches = [
            self._batch(job, number, model, state, at, sent, ended, **more)
            for number, (model, state, sent, ended, more) in enumerate(states)
        ]
        again = self._batch(job, 6, "gpt-4o-mini", BatchState.IN_FLIGHT, at, 101 * MINUTE, None, requests=212)
        self.add(job, *batches, again.with_(id="00001-1-0006", split=1, round=1))

    def _batch(  # noqa: PLR0913, PLR0917 - what a batch is
        self,
        job: Job,
        number: int,
        model: str,
        state: BatchState,
        at: int,
        sent: int | None,
        ended: int | None,
        **changes: object,
    ) -> Batch:
        provider = "anthropic" if model.startswith("claude") else "openai"
        requests = 8_000 - 700 * number
        usual: dict[str, object] = {
            "job": job.id,
            "provider": provider,
            "model": model,
            "endpoint": "/v1/messages" if provider == "anthropic" else "/v1/chat/completions",
            "ledger": f"{provider}/{model}",
            "requests": requests,
            "bytes": requests * 455,
            "tokens": requests * 130,
            "cost": requests * 130 if provider == "openai" else requests,
            "submitted_at": None if sent is None else at + sent,
            "ended_at": None if ended is None else at + ended,
            "ended_as": None if ended is None else "completed",
            "due_at": None if state is BatchState.COLLECTED else self.now + HOUR,
        }
        return a_batch(number, state, **(usual | changes))

    def _held(self) -> None:
        job = self.job(
            "held",
            "input/research/essays.jsonl",
            age=26 * MINUTE,
            summary="Grade the essays, second rubric",
            state=JobState.HELD,
            settings=JobSettings(budget_usd=Decimal(25), summary="Grade the essays, second rubric"),
            reason="It may cost $61.40, more than its budget of $25.00: approve it, reject it, or raise budget_usd.",
        )
        self.add(self._quoted(job, "18.02", "33.10", "61.40"))

    def _failed(self) -> None:
        reason = "The file is a table and has no template: give it one in batchdrop.toml, or use --model and --prompt."
        job = self.job("failed", "input/inbox/export.csv", age=2 * DAY, state=JobState.FAILED, reason=reason)
        self._publish(
            job.with_(outcome=JobState.FAILED),
            counts=None,
            models=[],
            files=Files(results=[], errors=None, failed=None),
        )

    def _hostile(self) -> None:
        """A job whose names, reason, errors and answers are someone's try to run a script."""
        name = "".join(PAYLOADS[1:3]).replace("/", "")
        self._finished("hostile", f"input/{name}.jsonl", age=16 * DAY, lines=6, failed=2, texts=PAYLOADS)

    def _quoted(self, job: Job, low: str, expected: str, high: str) -> Job:
        self._cloud.services.files.put(
            quote_key(job.id), msgspec.json.encode(JobQuote(quote=_quote(low, expected, high), routes=[]))
        )
        return job.with_(quote_key=quote_key(job.id))

    def _finished(  # noqa: PLR0913 - what a job came to
        self, name: str, key: str, *, age: int, lines: int, failed: int, texts: tuple[str, ...] = _TEXTS
    ) -> None:
        is_hostile = texts is PAYLOADS
        requests = [
            {
                "custom_id": f"review-{at + 1:05}",
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": _prompt(at, texts)}],
            }
            for at in range(min(lines, 60))
        ]
        failing = {0, 1} if is_hostile else {1, 40} if failed else set()
        body = b"".join(
            json.dumps(each).encode()[: -20 if at in failing and at == 1 and not is_hostile else None] + b"\n"
            for at, each in enumerate(requests)
        )
        stored = self._cloud.services.files.put(key, body)
        took = 2 * HOUR + 900 * (len(self.jobs) % 5)
        job = self.job(
            name,
            key,
            age=age,
            summary=texts[0] if is_hostile else "Sentiment of yesterday's reviews" if name == "nightly" else None,
            state=JobState.COMPLETED,
            version_id=stored.version_id,
            bytes=len(body) if lines == len(requests) else lines * 412,
            outcome=JobState.COMPLETED,
            first_submitted_at=self.now - age + 5 * MINUTE,
            last_ended_at=self.now - age + took,
            published_at=self.now - age + took + 40,
        )
        results = [_result(at, texts[at % len(texts)], failed=at in failing) for at in range(len(requests))]
        errors = [each for each in results if each["error"]]
        codes = {
            texts[0] if is_hostile else "context_length_exceeded": max(failed - 3, failed and 1),
            "invalid_json": min(3, failed and failed - 1),
        }
        self._publish(
            job,
            counts=Counts(
                total=lines,
                answered=lines - failed,
                failed=failed,
                errors={code: number for code, number in codes.items() if number},
                finish_reasons={},
            ),
            models=_models(lines, failed),
            files=Files(
                results=[
                    ResultsFile(
                        **msgspec.structs.asdict(self._file(job, "results", results)), first_line=1, last_line=lines
                    )
                ],
                errors=self._file(job, "errors", errors),
                failed=self._file(job, "failed", errors),
            ),
        )

    def _file(self, job: Job, name: str, rows: list[dict[str, object]]) -> File:
        body = b"".join(json.dumps(each).encode() + b"\n" for each in rows)
        stored = self._cloud.services.files.put(f"{output_prefix(job)}{name}.jsonl", body)
        return File(key=stored.key, version_id=stored.version_id, etag=stored.etag, bytes=len(body), lines=len(rows))

    def _publish(self, job: Job, *, counts: Counts | None, models: list[ModelCounts], files: Files) -> None:
        over = job.with_(
            published_at=job.published_at or job.dropped_at + MINUTE, manifest_key=f"{output_prefix(job)}manifest.json"
        )
        cost = sum((Decimal(each.cost_usd or 0) for each in models), Decimal(0))
        manifest = Manifest(
            job=job.id,
            status=job.state,
            reason=job.reason,
            retry_of=None,
            input=Input(
                bucket=BUCKET,
                key=job.key,
                version_id=job.version_id,
                etag=None,
                bytes=job.bytes,
                lines=counts and counts.total,
                blank_lines=counts and 0,
            ),
            counts=counts,
            models=models,
            times=Times(
                dropped_at=timestamp(job.dropped_at),
                first_submitted_at=None,
                last_ended_at=None,
                published_at=timestamp(over.published_at or 0),
            ),
            files=files,
            versions={},
            quote=None if counts is None else _quote(str(cost * Decimal("0.6")), str(cost), str(cost * 2)),
            money=None
            if counts is None
            else Money(
                cost_usd=str(cost),
                realtime_usd=str(cost * 2),
                saved_usd=str(cost),
                retries_usd="0",
                duplicates_usd="0",
                unpriced_models=[],
                no_batch_price=[],
                prices=_PRICES,
            ),
        )
        self._cloud.services.files.put(over.manifest_key or "", msgspec.json.encode(manifest))
        self.add(over)

    def _providers(self) -> None:
        providers = self._cloud.services.store.providers
        job = a_job()
        for back in range(10):
            for model in ("gpt-4o-mini", "claude-haiku-4-5"):
                for number in range(4):
                    took = (38 + 17 * number + 5 * (back % 4)) * MINUTE
                    ended = self.now - back * DAY - HOUR
                    batch = self._batch(job, number, model, BatchState.ENDED, ended - took, 0, took)
                    count_completion(batch, providers)
        past = [
            PauseTimes(opened_at=at, reason_code=code, probes=probes, probed_at=at + lasted - 40, ended_at=at + lasted)
            for at, lasted, code, probes in (
                (self.now - 9 * DAY - 5 * HOUR, 95 * MINUTE, PauseCode.CALLS_FAILED, 19),
                (self.now - 3 * DAY - 9 * HOUR, 11 * MINUTE, PauseCode.ACCOUNT_REFUSED, 2),
            )
        ]
        pk, sk = history_key("anthropic")
        row = {"pk": pk, "sk": sk, "pauses": msgspec.to_builtins(past)}
        self._cloud.dynamodb.put_item(TableName=TABLE, Item=encode(row))
        providers.set_pause("anthropic", "Its key is refused (401)", self.now + 240, code=PauseCode.KEY_REFUSED)
        for provider, model, taken in (("openai", "gpt-4o-mini", 1_640_000), ("anthropic", "claude-haiku-4-5", 61_000)):
            row = {"pk": f"PROVIDER#{provider}", "sk": f"LEDGER#{provider}/{model}", "reserved": taken}
            self._cloud.dynamodb.put_item(TableName=TABLE, Item=encode(row))


def _quote(low: str, expected: str, high: str) -> Quote:
    tokens = QuotedTokens(input=TokenRange(low=1, high=4), output=TokenRange(low=0, high=9))
    return Quote(
        low_usd=low,
        expected_usd=expected,
        high_usd=high,
        tokens=tokens,
        unpriced_models=[],
        no_batch_price=[],
        made_at="2026-11-27T10:00:00Z",
        prices=_PRICES,
    )


def _models(lines: int, failed: int) -> list[ModelCounts]:
    return [
        ModelCounts(
            provider=provider,
            model=model,
            endpoint=endpoint,
            requests=requests,
            answered=requests - lost,
            failed=lost,
            batches=2,
            usage=Usage(input_tokens=requests * 310, output_tokens=requests * 44),
            cost_usd=str(Decimal(requests) * Decimal(price)),
            realtime_usd=str(Decimal(requests) * Decimal(price) * 2),
            saved_usd=str(Decimal(requests) * Decimal(price)),
        )
        for provider, model, endpoint, requests, lost, price in (
            ("openai", "gpt-4o-mini", "/v1/chat/completions", lines * 3 // 4, failed, "0.000037"),
            ("anthropic", "claude-haiku-4-5", "/v1/messages", lines - lines * 3 // 4, 0, "0.000265"),
        )
    ]


def _prompt(at: int, texts: tuple[str, ...]) -> str:
    return texts[at % len(texts)] if texts is PAYLOADS else f"Sentiment of: {_REVIEWS[at % len(_REVIEWS)]}"


def _result(at: int, text: str, *, failed: bool) -> dict[str, object]:
    body = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 7},
    }
    is_hostile, is_input = text in PAYLOADS, at % 60 == 1
    code = PAYLOADS[0] if is_hostile else "invalid_json" if is_input else "context_length_exceeded"
    said = (
        "The line is not JSON: it ends within a text." if is_input else "The request has 131,204 tokens, over 128,000."
    )
    error = {"code": code, "message": text if is_hostile else said, "source": "provider", "retryable": False}
    return {
        "id": f"batch_req_{at}",
        "custom_id": text if is_hostile else None if failed and is_input else f"review-{at + 1:05}",
        "response": None if failed else {"status_code": 200, "request_id": None, "body": body},
        "error": error if failed else None,
        "line": at + 1,
        "provider": "openai",
        "model": text if is_hostile else None if failed and is_input else "gpt-4o-mini",
        "endpoint": "/v1/chat/completions",
        "batch_id": "batch_1",
        "attempts": 0 if failed and is_input else 1,
        "via": "batch",
    }
