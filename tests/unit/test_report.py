"""A job's report: a bounded page, in which all that others named is text."""

from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser

import msgspec
import pytest
from batchdrop.batches.job_quote import JobQuote, RouteQuote
from batchdrop.manifest import Counts, Document, File, Files, Manifest, ResultsFile
from batchdrop.money import Money, PriceSource, Quote, QuotedTokens, TokenRange
from batchdrop.outputs.report import MOST_ROWS, render_report
from batchdrop.outputs.report_picture import MOST_BATCHES, Drawn, first_batches
from batchdrop.records import Batch, Job, JobSettings
from batchdrop.states import BatchState, JobState
from faking.console_scene import PAYLOADS
from faking.outputs import a_manifest
from faking.rows import NOW, a_batch, a_job
from hypothesis import given
from hypothesis import strategies as st

NOTHING = Files(results=[], errors=None, failed=None)
JOB = a_job(state=JobState.PUBLISHING, first_submitted_at=NOW + 10, last_ended_at=NOW + 800, published_at=NOW + 1_000)
PRICES = PriceSource(source="genai-prices", date="2026-11-27")
TOKENS = TokenRange(low=1, high=2)
QUOTE = Quote(
    low_usd="0.5",
    expected_usd="1.25",
    high_usd="2",
    tokens=QuotedTokens(input=TOKENS, output=TOKENS),
    unpriced_models=[],
    no_batch_price=[],
    made_at="2026-11-27T07:00:00Z",
    prices=PRICES,
)
MONEY = Money(
    cost_usd="1.5",
    realtime_usd="3",
    saved_usd="1.5",
    retries_usd="0",
    duplicates_usd="0",
    unpriced_models=[],
    no_batch_price=[],
    prices=PRICES,
)
ROUTE = RouteQuote(
    provider="openai",
    model="gpt-4o-mini",
    endpoint="/v1/chat/completions",
    requests=2,
    high=Decimal("1.75"),
    input_rate=Decimal(1),
    output_rate=Decimal(1),
    longest_output=1,
)


class Seen(HTMLParser):
    """What a browser would see: elements with their attributes, and text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def says(self, *cells: str) -> bool:
        """Whether these texts stand one after the other."""
        return any(self.texts[at : at + len(cells)] == [*cells] for at in range(len(self.texts)))


def report(manifest: Manifest, *batches: Batch, job: Job = JOB, quote: JobQuote | None = None) -> Seen:
    return Seen(render_report(manifest, job, batches, quote))


def named(name: str) -> tuple[Manifest, Job, Batch]:
    """A job of which everything that others name is called this."""
    manifest = a_manifest("j", NOTHING)
    manifest = msgspec.structs.replace(
        manifest,
        reason=name,
        retry_of=name,
        input=msgspec.structs.replace(manifest.input, key=f"input/{name}"),
        counts=Counts(total=1, answered=0, failed=1, errors={name: 1}, finish_reasons={}),
        models=[msgspec.structs.replace(manifest.models[0], model=name, provider=name, endpoint=name)],
        files=Files(results=[], errors=File(key=name, version_id=None, etag=None, bytes=1, lines=1), failed=None),
        versions={"batchdrop": name},
    )
    return manifest, JOB.with_(settings=JobSettings(summary=name)), a_batch(model=name)


def test_a_report_says_what_became_of_a_job() -> None:
    manifest = a_manifest("j", NOTHING, quote=QUOTE, money=MONEY)
    priced = [msgspec.structs.replace(each, cost_usd="1.5", saved_usd="1.5") for each in manifest.models]
    sent = a_batch(state=BatchState.COLLECTED, submitted_at=NOW + 10, ended_at=NOW + 800, ended_as="expired")
    seen = report(msgspec.structs.replace(manifest, models=priced), sent, quote=JobQuote(quote=QUOTE, routes=[ROUTE]))
    assert seen.says("Answered", "4", "Failed", "2", "All", "6")
    assert seen.says("Quoted at least", "$0.50", "Expected", "$1.25", "Quoted at most", "$2.00", "Cost", "$1.50")
    model = ("gpt-4o-mini", "openai /v1/chat/completions", "2", "1", "1", "$1.75", "$1.50", "$1.50")
    assert seen.says(*model)
    assert seen.says("context_length_exceeded", "1", "invalid_json", "1")
    waiting, flying = "2027-01-15T08:00:00Z to 2027-01-15T08:00:10Z", "2027-01-15T08:00:10Z to 2027-01-15T08:13:20Z"
    assert f"waiting from {waiting}; at the provider from {flying}; expired" in seen.texts


def test_a_quote_by_model_that_is_no_longer_kept_is_not_called_unknown() -> None:
    quoted, never = a_manifest("j", NOTHING, quote=QUOTE), a_manifest("j", NOTHING)
    assert report(quoted).says("2", "1", "1", "no longer kept", "unknown", "unknown")
    assert report(never).says("2", "1", "1", "unknown", "unknown", "unknown")
    assert report(quoted, quote=JobQuote(quote=QUOTE, routes=[])).says("2", "1", "1", "unknown", "unknown", "unknown")


def test_a_report_is_one_page_that_fetches_and_runs_nothing() -> None:
    seen = report(a_manifest("j", NOTHING), a_batch())
    tags = [tag for tag, _ in seen.tags]
    assert not {"script", "link", "img", "iframe", "a", "form"} & {*tags}
    assert not {"src", "href", "style", "xlink:href"} & {name for _, found in seen.tags for name in found}
    policy = next(found["content"] for _, found in seen.tags if found.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-")


def test_a_report_has_headings_captions_and_words_for_its_picture() -> None:
    seen = report(a_manifest("j", NOTHING), a_batch())
    tags = [tag for tag, _ in seen.tags]
    assert [tag for tag in tags if tag[:1] == "h" and tag[1:].isdecimal()] == ["h1", *["h2"] * 5]
    assert tags.count("table") == tags.count("caption")
    picture = next(found for _, found in seen.tags if found.get("role") == "img")
    title = next(found for tag, found in seen.tags if tag == "title" and "id" in found)
    assert picture["aria-labelledby"] == title["id"]
    labels = [found["aria-label"] for _, found in seen.tags if found.get("role") == "region"]
    assert len(labels) == len({*labels}) == tags.count("table")


def shape(name: str) -> list[tuple[str, list[str]]]:
    """The elements of a report with the names of their attributes."""
    manifest, job, batch = named(name)
    return [(tag, [*found]) for tag, found in report(manifest, batch, job=job).tags]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_others_named_is_text(payload: str) -> None:
    name = payload.replace("/", "|")
    manifest, job, batch = named(name)
    assert name in report(manifest, batch, job=job).texts
    assert shape(name) == shape("x" * len(name))


@given(st.text(st.characters(exclude_categories=(), exclude_characters="/"), min_size=1))
def test_any_name_leaves_the_page_as_it_is(name: str) -> None:
    assert shape(name) == shape("x" * len(name))


def test_characters_that_do_not_show_are_named() -> None:
    manifest, job, batch = named("a\u202eb\x00\ud800")
    assert "a\\u202eb\\u0000\\ud800" in report(manifest, batch, job=job).texts


def many(number: int) -> Iterator[Batch]:
    return (a_batch(at, BatchState.COLLECTED, submitted_at=NOW, ended_at=NOW + at) for at in range(number))


def test_the_batches_that_are_held_and_drawn_are_bounded_and_the_rest_is_summed_up() -> None:
    drawn = first_batches(many(MOST_BATCHES + 1_200))
    assert drawn == Drawn(batches=list(many(MOST_BATCHES)), more=1_200, more_requests=6_000)
    seen = Seen(render_report(a_manifest("j", NOTHING), JOB, many(MOST_BATCHES + 1_200), None))
    said = f"The first {MOST_BATCHES} batches are drawn; the job has 1,200 more batches with 6,000 requests."
    assert [each for each in seen.texts if each.endswith(said)] != []


def test_replaced_batches_are_left_out() -> None:
    assert first_batches([a_batch(state=BatchState.REPLACED)]) == Drawn(batches=[], more=0, more_requests=0)


def test_a_report_is_as_large_for_ten_times_the_job() -> None:
    def size(number: int) -> int:
        manifest = a_manifest("j", NOTHING)
        part = ResultsFile(key="k", version_id=None, etag=None, bytes=1, lines=1, first_line=1, last_line=1)
        manifest = msgspec.structs.replace(
            manifest, models=manifest.models * number, files=Files(results=[part] * number, errors=None, failed=None)
        )
        return len(render_report(manifest, JOB, many(number), None))

    assert size(MOST_ROWS * 100) - size(MOST_ROWS * 10) < 100


def test_a_job_without_results_and_rows_has_a_report_too() -> None:
    manifest = a_manifest("j", NOTHING, counts=None, models=[], reason="the file is empty", status=JobState.FAILED)
    seen = report(manifest, job=a_job(state=JobState.PUBLISHING, published_at=NOW))
    assert seen.says("State", "State", "Failed", "Reason", "the file is empty")
    assert "The job has no results." in seen.texts


def test_a_job_whose_rows_are_gone_shows_its_phases() -> None:
    seen = report(a_manifest("j", NOTHING), job=JOB.with_(state=JobState.COMPLETED))
    assert {"read, checked and queued", "at the providers", "collected and put in order"} <= {*seen.texts}


def test_a_report_does_not_name_itself_among_the_files() -> None:
    page = Document(key="output/report.html", version_id=None, etag=None, bytes=1)
    manifest = a_manifest("j", Files(results=[], errors=None, failed=None, report=page))
    assert "report.html" not in report(manifest).texts
