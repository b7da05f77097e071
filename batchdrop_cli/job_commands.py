"""The commands about jobs: which there are, how far they are, wait for one, stop it, fetch its results."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from batchdrop.aws.keys import is_job_id
from batchdrop.jobs import CANCELLABLE
from batchdrop.records import Job
from batchdrop.states import JobState
from cyclopts import Parameter

from batchdrop_cli import decisions, fetch, jobs, merge, report, watching, whose
from batchdrop_cli import reconcile as reconciling
from batchdrop_cli import retry as retries
from batchdrop_cli.answer_files import check_kinds, kinds_to_write, write_answers
from batchdrop_cli.cloud import Cloud, Target, find_cloud
from batchdrop_cli.costs import By, costs_of, read_since, say_costs, to_csv
from batchdrop_cli.exit_codes import LINES_FAILED, OK, WRONG_USE
from batchdrop_cli.file_commands import report_and_fetch, wait_and_report
from batchdrop_cli.job_report import save_report
from batchdrop_cli.options import DEFAULT_TARGET, AsCsv, AsJson, Folder, JobId, between
from batchdrop_cli.prices import cost_of, prices_of
from batchdrop_cli.row_settings import AnswerKind
from batchdrop_cli.say import asked, count, note, say, say_as_is
from batchdrop_cli.user_errors import UserError
from batchdrop_cli.words import JOB_WORDS, exit_code_of, noun_of

Watch = Annotated[bool, Parameter(negative="", help="Show it live until it is over, as `watch` does.")]
Report = Annotated[
    bool | Path,
    Parameter(
        metavar="[FILE]",
        name="--report",
        negative="",
        help="Write a page about a finished job to this file, else to NAME.report.html.",
    ),
]
Yes = Annotated[bool, Parameter(negative="", help="Do not ask.")]


def list_jobs(
    *,
    days: Annotated[int, Parameter(metavar="NUMBER", help="How far back.", validator=between(1, 3_650))] = 7,
    limit: Annotated[int, Parameter(metavar="NUMBER", help="How many at most.", validator=between(1, 100_000))] = 20,
    as_json: AsJson = False,
    target: Target = DEFAULT_TARGET,
) -> int:
    cloud = find_cloud(target)
    found = jobs.list_recent(cloud, days=days, limit=limit)
    reconciling.say_held(cloud)
    if as_json:
        say_json(found)
    elif found:
        report.say_jobs(found)
    else:
        note(f"No file was dropped in the last {count(days, 'day')}. Drop one with: {cloud.command('put FILE')}")
    return OK


def costs(
    *,
    by: Annotated[By, Parameter(help="What the rows are: folder, model or day.")] = "folder",
    since: Annotated[
        str, Parameter(metavar="DAY", help="The first day, as 2026-11-01, or so many days ago, as 30d.")
    ] = "30d",
    as_json: AsJson = False,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="", help="Print CSV on standard output.")] = False,
    target: Target = DEFAULT_TARGET,
) -> int:
    day = read_since(since, today=datetime.now(UTC).date())
    if day is None:
        raise UserError(
            f"--since must be a day, as 2026-11-01, or so many days ago, as 30d; not {since}.", code=WRONG_USE
        )
    if as_json and as_csv:
        raise UserError("--json and --csv exclude each other.", code=WRONG_USE)
    found = costs_of(find_cloud(target), by, day)
    if as_json:
        say_json(found)
    elif as_csv:
        for line in to_csv(found):
            say_as_is(line)
    elif found.rows:
        say_costs(found)
    else:
        note(f"No job that was dropped since {day} is over and asked a model.")
    return OK


def show(
    job: JobId = jobs.LATEST,
    /,
    *,
    as_json: AsJson = False,
    watch: Watch = False,
    page: Report = False,
    target: Target = DEFAULT_TARGET,
) -> int:
    if (as_json, watch, page is not False).count(True) > 1:
        raise UserError("--json, --watch and --report exclude each other.", code=WRONG_USE)
    if watch:
        return watch_job(job, target)
    cloud = find_cloud(target)
    if page:
        path = save_report(cloud, jobs.find(cloud, job), page if isinstance(page, Path) else None)
        say(f"The report is {path}.")
        return OK
    found = jobs.find(cloud, job)
    shown = jobs.shown(cloud, found)
    say_json(shown) if as_json else report.say_shown(shown, cloud.prices, noun_of(found))
    return OK


def wait(job: JobId = jobs.LATEST, /, *, target: Target = DEFAULT_TARGET) -> int:
    cloud = find_cloud(target)
    return wait_and_report(cloud, _waited_for(cloud, job))


def watch_job(job: str, target: Target) -> int:
    """Wait for a job with all that is known of it; the exit code of `wait`."""
    cloud = find_cloud(target)
    return wait_and_report(cloud, _waited_for(cloud, job), showing=partial(watching.watched, cloud))


def _waited_for(cloud: Cloud, job: str) -> str:
    """The id of a job, which may be too young to be there."""
    is_coming = is_job_id(job) and jobs.is_young(job)
    return job if is_coming else jobs.find(cloud, job).id


def cancel(job: JobId, /, *, yes: Yes = False, target: Target = DEFAULT_TARGET) -> int:
    cloud = find_cloud(target)
    found = jobs.find(cloud, job)
    if found.state in CANCELLABLE:
        _describe_and_ask(cloud, found, yes=yes)
    decisions.cancel(cloud, found)
    say(f"Job {found.id} is being cancelled. See: {cloud.command(f'show {found.id}')}")
    return OK


def approve(job: JobId, /, *, target: Target = DEFAULT_TARGET) -> int:
    cloud = find_cloud(target)
    found = jobs.find(cloud, job)
    approved = decisions.approve(cloud, found)
    if approved.state is JobState.HELD:
        say(f"Job {found.id} is approved: its batches are sent within a minute, whatever they cost.")
    else:
        say(f"Job {found.id} was approved before, and is {approved.state}.")
    say(f"See: {cloud.command(f'show {found.id}')}")
    return OK


def reject(job: JobId, /, *, target: Target = DEFAULT_TARGET) -> int:
    cloud = find_cloud(target)
    found = jobs.find(cloud, job)
    rejected = decisions.reject(cloud, found)
    ends = "it ends within a minute" if rejected.state is JobState.PUBLISHING else f"it is {rejected.state}"
    say(f"Job {found.id} is rejected: {ends}. Nothing was sent, and nothing is paid.")
    return OK


def _describe_and_ask(cloud: Cloud, job: Job, *, yes: bool) -> None:
    by = whose.dropper(cloud, job)
    first, *more = decisions.describe_cancel(cloud, job, by)
    note(first)
    for line in more:
        note(f"  {line}")
    if not yes and not whose.is_own_last(cloud, job, by):
        ask(
            "Cancel it?",
            f"This is not your own latest drop. To cancel it anyway: {cloud.command(f'cancel {job.id} --yes')}",
        )


def ask(question: str, otherwise: str) -> None:
    """Ask on a terminal.

    Raises:
        UserError: Nobody is there to be asked, or the answer was no.
    """
    if not sys.stdin.isatty():
        raise UserError(otherwise, code=WRONG_USE)
    if asked(f"{question} [y/N]") not in {"y", "yes"}:
        raise UserError("Nothing was changed.")


def reconcile(
    *,
    without: Annotated[
        str | None,
        Parameter(metavar="PROVIDER", help="Send to this provider again although its batches cannot be listed."),
    ] = None,
    waits: Annotated[
        bool, Parameter(name="--wait", negative="--no-wait", help="Wait until nothing is held back.")
    ] = True,
    yes: Yes = False,
    target: Target = DEFAULT_TARGET,
) -> int:
    cloud = find_cloud(target)
    if without is not None:
        if not yes:
            note(f"Requests that {without} has and the table does not know will be sent and paid for again.")
            ask("Send to it again?", f"To do it: {cloud.command(f'reconcile --without {without} --yes')}")
        reconciling.release(cloud, without)
    reconciling.reconcile(cloud, waits=waits)
    return OK


def forget(job: JobId, /, *, yes: Yes = False, target: Target = DEFAULT_TARGET) -> int:
    from batchdrop_cli import forget as forgetting  # noqa: PLC0415 - brings the providers with it

    cloud = find_cloud(target)
    found = jobs.find(cloud, job)
    its_retries = list(cloud.store.retries(found.id, newer=cloud.notify_newer))
    if not yes:
        note(f"Job {found.id}: s3://{cloud.bucket}/{found.key}, with all its results.")
        ask("Delete it for good?", f"To delete it for good: {cloud.command(f'forget {found.id} --yes')}")
    left = forgetting.forget(cloud, found, forgetting.apis_of(cloud))
    for each in left:
        note(f"Not deleted: {each}")
    if left:
        raise UserError(f"Job {found.id} is not completely deleted. Remove the reasons, then repeat the command.")
    say(f"Job {found.id} is deleted: its file, its results, its rows, and the providers' copies.")
    for retry in its_retries:
        note(f"Its retry {retry.id} holds copies of its lines: {cloud.command(f'forget {retry.id}')}")
    note(
        "No command reaches the rest: the table's backups keep its rows for 35 days; logs keep its id and its file's "
        "name, but none of its lines; others may have copied its results."
    )
    return OK


def results(  # noqa: PLR0913 - options of the command line
    job: JobId = jobs.LATEST,
    /,
    *,
    output: Folder = None,
    answers: Annotated[
        list[AnswerKind] | None,
        Parameter(
            negative="", help="Files of answers, a row per line, beside those asked for at the drop; may be repeated."
        ),
    ] = None,
    csv: AsCsv = False,
    failed: Annotated[bool, Parameter(negative="", help="Fetch failed.jsonl alone: the failed input lines.")] = False,
    errors: Annotated[bool, Parameter(negative="", help="Fetch errors.jsonl alone: why they failed.")] = False,
    with_retries: Annotated[
        bool, Parameter(negative="", help="Put the results of its retries in their places; results and errors only.")
    ] = False,
    replace_answers: Annotated[
        bool, Parameter(negative="", help="With --with-retries: a retry's answer also replaces a complete one.")
    ] = False,
    target: Target = DEFAULT_TARGET,
) -> int:
    if replace_answers and not with_retries:
        raise UserError("--replace-answers requires --with-retries.", code=WRONG_USE)
    only = _only(failed=failed, errors=errors, is_whole=csv or with_retries)
    fetch.check_folder(output)
    asked = [*(answers or ()), *(["csv"] if csv else ())]
    check_kinds(asked)
    cloud = find_cloud(target)
    found = jobs.find(cloud, job)
    if with_retries and job == jobs.LATEST and found.retry_of is not None:
        latest, found = found, jobs.find(cloud, retries.first_of(cloud, found))
        if found.id != latest.id:
            note(f"The latest job is a retry: these are the results of job {found.id}, which was retried.")
    jobs.refuse_unfinished(cloud, found)
    if only:
        return _fetch_only(cloud, found, output, only)
    if with_retries and jobs.read_manifest(cloud, found).counts is not None:  # else there is nothing to complete
        return _merge(cloud, found, output, asked, replace_answers=replace_answers)
    return report_and_fetch(cloud, found, output, asked)


def _only(*, failed: bool, errors: bool, is_whole: bool) -> list[fetch.Kind]:
    """The files that are asked for alone; none where all are."""
    asked: list[tuple[fetch.Kind, bool]] = [("failed", failed), ("errors", errors)]
    kinds = [kind for kind, wanted in asked if wanted]
    if kinds and is_whole:
        raise UserError(f"--{kinds[0]} excludes --csv and --with-retries.", code=WRONG_USE)
    return kinds


def _fetch_only(cloud: Cloud, job: Job, folder: Path | None, kinds: list[fetch.Kind]) -> int:
    manifest = jobs.read_manifest(cloud, job)
    if manifest.counts is not None and not manifest.counts.failed:
        say(f"No {noun_of(job)} failed.")
        return exit_code_of(manifest)
    report.say_files(fetch.fetch_only(cloud, job, manifest, folder or fetch.folder_for(job), kinds))
    note(f"To send the failed lines again: {cloud.command(f'retry {job.id}')}")
    return exit_code_of(manifest)


def _merge(cloud: Cloud, job: Job, folder: Path | None, asked: Sequence[str], *, replace_answers: bool) -> int:
    manifest = jobs.read_manifest(cloud, job)
    report.say_over(job, manifest, has_errors_file=False)
    whole = merge.family(cloud, job)
    folder = folder or fetch.folder_for(job, merged=True)
    merged = merge.merge(cloud, whole, folder, replace_answers=replace_answers)
    _note_left_out(cloud, merged)
    report.say_merged(merged.answered, merged.failed, noun_of(job))
    manifests = [jobs.read_manifest(cloud, member) for member in merged.family.with_results()]
    cost = cost_of([price for each in manifests for price in prices_of(each, cloud.prices)])
    say(f"Estimated cost, its retries included: {cost}.")
    kinds = kinds_to_write(cloud, job, None, asked)
    report.say_files([*merged.paths, *write_answers(cloud, job, None, merged.paths[:1], kinds)])
    code = exit_code_of(manifest)
    return code if code not in {OK, LINES_FAILED} else LINES_FAILED if merged.failed else OK


def _note_left_out(cloud: Cloud, merged: merge.Merged) -> None:
    for misfit in merged.misfits:
        note(f"Not merged: retry {misfit.retry}: {misfit.problem}. See: {cloud.command(f'show {misfit.retry}')}")
    for retry in merged.family.left_out():
        note(f"Not merged: retry {retry.id}, {retry.state}: {retry.reason or JOB_WORDS[retry.state]}")
    if merged.kept:
        noun = noun_of(merged.family.job)
        kept = count(merged.kept, f"{noun} that was answered keeps its", f"{noun}s that were answered keep their")
        note(f"{kept} first answer, although a retry answered too. To take the retry's: --replace-answers")


def say_json(value: object) -> None:
    say_as_is(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2))
