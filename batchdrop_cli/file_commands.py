"""The commands that drop a file, see it through, and send what failed in it again."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from batchdrop.aws.keys import SCHEMA_ENDING
from batchdrop.dollars import read_budget
from batchdrop.providers.config import load_providers
from batchdrop.records import Job
from batchdrop.states import JobState
from botocore.exceptions import BotoCoreError
from cyclopts import Parameter

import local_cloud
from batchdrop_cli import drop, failed_lines, fetch, jobs, progress, quoting, report, retry_once, sources
from batchdrop_cli import retry as retries
from batchdrop_cli.answer_files import JSON_LINES, check_kinds, kinds_to_write, names_of, without_means, write_answers
from batchdrop_cli.check import check_kind
from batchdrop_cli.cloud import Cloud, Target, find_cloud
from batchdrop_cli.drop import is_settings
from batchdrop_cli.dropped_rows import check_rows
from batchdrop_cli.exit_codes import OK, OVER_LIMIT, WRONG_USE
from batchdrop_cli.options import (
    DEFAULT_TARGET,
    Again,
    AsCsv,
    By,
    DryRun,
    FallbackModel,
    File,
    Folder,
    JobId,
    Key,
    MaxCost,
    PutKey,
    QuotedProviders,
    Source,
)
from batchdrop_cli.quote import Quote
from batchdrop_cli.quote_report import note_quote
from batchdrop_cli.row_settings import (
    NO_ROWS,
    OwnSettings,
    RowOptions,
    own_settings,
    settings_here,
)
from batchdrop_cli.say import count, note, say
from batchdrop_cli.table_files import holds_rows
from batchdrop_cli.user_errors import UserError
from batchdrop_cli.words import exit_code_of, noun_of

_MAX_COST, _FALLBACK = "batchdrop-budget-usd", "batchdrop-fallback"  # of the object's metadata
Showing = Callable[[], AbstractContextManager[progress.Display]]
"""Shows a wait while it lasts."""


def put(  # noqa: PLR0913 - options of the command line
    file: Source,
    /,
    *,
    rows: RowOptions = NO_ROWS,
    wait: Annotated[bool, Parameter(negative="", help="Show progress until the job is over.")] = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
    by: By = None,
    fallback: FallbackModel = None,
    key: PutKey = None,
    again: Again = False,
    providers_file: QuotedProviders = None,
    target: Target = DEFAULT_TARGET,
) -> int:

    def put_one(source: tuple[Path, str, str]) -> int | str:
        """Drop a file; its job, or the exit code where there is none."""
        file, key, name = source
        if is_settings(key):
            return _put_settings(file, key, name, cloud_of, dry_run=dry_run)
        if dry_run:
            return _quote_only(file, key, providers_file, max_cost, rows, name=name, fallback=fallback)
        cloud, promises = cloud_of(), _promises(max_cost, by, fallback)
        job = _drop(cloud, file, key, rows, promises=promises, providers_file=providers_file, again=again)
        if not wait:
            return _leave(cloud, job)
        note(f"It is job {job}.")
        return job

    with sources.sources_of(file, key) as found:
        cloud_of = cache(partial(find_cloud, target, sources.notify_of(found)))
        chosen = {str(each.path): (each.path, sources.checked_key(each), each.name or str(each.path)) for each in found}
        if len(chosen) > 1 and not dry_run:
            providers = load_providers(providers_file or cloud_of().prices_file)
            keys = {path: key for path, key, _ in chosen.values()}
            sources.refuse_tables_without_template(keys, cloud_of(), rows, providers)
        done = list(sources.each_of(put_one, chosen))
    if len(done) > 1 and not dry_run:
        dropped = sum(isinstance(each, str) or each == OK for each in done)
        note(f"{dropped} of {count(len(done), 'file')} dropped.")
    waited = {f"Job {each}": each for each in done if isinstance(each, str)}
    ended = sources.each_of(partial(wait_and_report, cloud_of()), waited) if waited else ()
    return sources.worst_of([each for each in (*done, *ended) if isinstance(each, int)])


def run(  # noqa: PLR0913 - options of the command line
    file: File,
    /,
    *,
    rows: RowOptions = NO_ROWS,
    output: Folder = None,
    csv: AsCsv = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
    by: By = None,
    fallback: FallbackModel = None,
    key: Key = None,
    again: Again = False,
    providers_file: QuotedProviders = None,
    target: Target = DEFAULT_TARGET,
) -> int:
    key = drop.choose_key(file, key)
    if is_settings(key):
        raise UserError(f"{file} contains settings, not requests: drop it with batchdrop put {file}", code=WRONG_USE)
    if not holds_rows(file, key):
        check_kind(file, key)
    if dry_run:
        return _quote_only(file, key, providers_file, max_cost, rows, name=str(file), fallback=fallback)
    fetch.check_folder(output)
    check_kinds(rows.answers)
    cloud = find_cloud(target)
    promises = _promises(max_cost, by, fallback)
    job_id = _drop(cloud, file, key, rows, promises=promises, providers_file=providers_file, again=again)
    return _see_through(cloud, job_id, output, csv=csv)


def _quote_only(  # noqa: PLR0913 - options of the command line
    file: Path,
    key: str,
    providers_file: Path | None,
    max_cost: str | None,
    options: RowOptions,
    *,
    name: str,
    fallback: str | None,
) -> int:
    providers = load_providers(providers_file or local_cloud.PROVIDERS_FILE)
    rows = settings_here(file, options, providers)
    limit = None if max_cost is None else read_budget(max_cost)
    other = quoting.read_fallback(fallback, providers)
    return quoting.quote_only(file, key, providers, limit, rows, fallback=other, shown=name)


def _drop(  # noqa: PLR0913 - what a drop is
    cloud: Cloud,
    file: Path,
    key: str,
    options: RowOptions,
    *,
    promises: Mapping[str, str],
    providers_file: Path | None,
    again: bool,
) -> str:
    """Check a file, quote it, and drop it with the settings of its own; the id of its job."""
    providers = load_providers(providers_file or cloud.prices_file)
    rows = check_rows(cloud, file, key, options, providers)
    max_cost = promises.get(_MAX_COST)
    limit = None if max_cost is None else read_budget(max_cost)
    other = quoting.read_fallback(promises.get(_FALLBACK), providers)
    quoted = quoting.quote_before_upload(file, key, providers, limit, rows, fallback=other)
    own = own_settings(file, key, options, providers)
    return drop_file(cloud, file, key, again=again, quoted=quoted, metadata=promises, settings=own)


def retry(  # noqa: PLR0913 - options of the command line
    job: JobId,
    file: Annotated[Path | None, Parameter(help="A fixed copy of the lines: as many, in the same order.")] = None,
    /,
    *,
    finish: Annotated[
        Literal["length"] | None, Parameter(help="Take the lines whose answers were cut off by max_tokens instead.")
    ] = None,
    save: Annotated[Path | None, Parameter(help="Write the lines to this file, to be fixed; nothing is sent.")] = None,
    no_wait: Annotated[bool, Parameter(negative="", help="Print the new job, and do not wait for it.")] = False,
    output: Folder = None,
    csv: AsCsv = False,
    key: Annotated[str | None, Parameter(metavar="KEY", help="Another key, in the folder of the job's file.")] = None,
    max_cost: Annotated[
        MaxCost, Parameter(help="US dollars, the retry's budget: where the lines may cost more, it is held, not sent.")
    ] = None,
    again: Annotated[
        bool, Parameter(negative="", help="Send these lines although they are being retried, or were; pay again.")
    ] = False,
    target: Target = DEFAULT_TARGET,
) -> int:
    fetch.check_folder(output)
    cloud = find_cloud(target)
    with TemporaryDirectory() as folder:
        numbers = Path(folder) / "numbers"
        found, settings = jobs.find(cloud, job), _promises(max_cost)
        chosen = retries.choose(cloud, found, numbers, cut=finish is not None, settings=settings)
        if save is not None:
            return _save(cloud, chosen, save, file)
        showing = progress.upload_shown
        job_id = retry_once.drop_lines(cloud, chosen, file, key, again=again, showing=showing)
    merged = cloud.command(f"results {retries.first_of(cloud, chosen.job)} --with-retries")
    if no_wait:
        _leave(cloud, job_id)
        note(f"When it is over, its answers in the places of the failed lines: {merged}")
        return OK
    code = _see_through(cloud, job_id, output, csv=csv)
    note("Merged results, with these answers in the places of the failed lines:")
    note(f"  {merged}")
    return code


def _promises(max_cost: str | None, by: str | None = None, fallback: str | None = None) -> dict[str, str]:
    """Return the metadata that binds a file's job to the limit, the deadline and the fallback."""
    given = {_MAX_COST: max_cost, "batchdrop-deadline": by, _FALLBACK: fallback}
    return {name: value for name, value in given.items() if value is not None}


def _put_settings(file: Path, key: str, name: str, cloud_of: Callable[[], Cloud], *, dry_run: bool) -> int:
    if dry_run:
        say(f"{name}: settings, all of them known. Nothing was sent.")
        return OK
    cloud = cloud_of()
    drop.put_settings(cloud, file, key)
    folder = key.rpartition("/")[0]
    if key.endswith(SCHEMA_ENDING):
        say(f"Settings under s3://{cloud.bucket}/{folder}/ may name this output schema from now on.")
        return OK
    say(
        f"These settings apply to every file dropped under s3://{cloud.bucket}/{folder}/ from now on. Settings "
        "start no job."
    )
    return OK


def _save(cloud: Cloud, chosen: retries.Chosen, path: Path, fixed: Path | None) -> int:
    if fixed is not None:
        raise UserError(f"Use either --save {path} or the fixed copy {fixed}, not both.", code=WRONG_USE)
    retries.save(cloud, chosen, path)
    say(f"{chosen} of job {chosen.job.id} in {path}; nothing was sent.")
    retry_once.warn_hopeless(cloud, chosen)
    finish = " --finish length" if chosen.cut else ""
    if noun_of(chosen.job) == "row":
        note(
            'Each line is a row as JSON, by column: {"COLUMN": "cell", …}. A list is a row with too many or few cells.'
        )
    note("Fix the lines, keeping their order, and send them with:")
    note(f"  {cloud.command(f'retry {chosen.job.id} {shlex.quote(str(path))}{finish}')}")
    return OK


def drop_file(  # noqa: PLR0913 - what a drop is
    cloud: Cloud,
    file: Path,
    key: str,
    *,
    again: bool,
    metadata: Mapping[str, str],
    settings: OwnSettings | None = None,
    quoted: Quote | None,
) -> str:
    """Upload a file unless the same bytes are running, and say what it was quoted at; the id of its job."""

    @contextmanager
    def showing(name: str, size: int) -> Iterator[drop.Progressed]:
        if quoted is not None:
            note_quote(quoted)
        with progress.upload_shown(name, size) as progressed:
            yield progressed

    return drop.drop_file(cloud, file, key, again=again, metadata=metadata, settings=settings, showing=showing)


def wait_until_over(cloud: Cloud, job_id: str, showing: Showing = progress.shown) -> Job:
    try:
        with showing() as display:
            return progress.wait_for_job(cloud, job_id, display=display, clock=progress.Clock())
    except (KeyboardInterrupt, BotoCoreError):
        note(f"Job {job_id} continues without this command. Wait for it again with:")
        note(f"  {cloud.command(f'wait {job_id}')}")
        raise


def wait_and_report(cloud: Cloud, job_id: str, showing: Showing = progress.shown) -> int:
    """Wait, and say what came of it, why lines failed, and how to fetch the results."""
    job = wait_until_over(cloud, job_id, showing)
    if job.state is JobState.HELD:
        return _say_held(job)
    manifest = jobs.read_manifest(cloud, job)
    report.say_over(job, manifest)
    report.say_summary(manifest, cloud.prices)
    failed_lines.say_reasons(cloud, job, manifest)
    if manifest.counts is not None:
        say("To fetch the results:")
        say(f"  {cloud.command(f'results {job.id}')}")
    return exit_code_of(manifest)


def _leave(cloud: Cloud, job_id: str) -> int:
    say(job_id)
    note(f"See its progress with: {cloud.command(f'show {job_id}')}")
    return OK


def _see_through(cloud: Cloud, job_id: str, output: Path | None, *, csv: bool) -> int:
    job = wait_until_over(cloud, job_id)
    asked = ["csv"] if csv else []
    return _say_held(job) if job.state is JobState.HELD else report_and_fetch(cloud, job, output, asked)


def _say_held(job: Job) -> int:
    say(f"Job {job.id} is held: {job.reason}")
    return OVER_LIMIT


def report_and_fetch(cloud: Cloud, job: Job, output: Path | None, answers: Sequence[str]) -> int:
    """Say what came of a job that is over, fetch its files, and say why lines failed; the exit code.

    Args:
        cloud: Where it is.
        job: The job.
        output: The folder for its files; None for its own.
        answers: The kinds of answers that are asked for now.
    """
    manifest = jobs.read_manifest(cloud, job)
    report.say_over(job, manifest)
    paths = _fetch(cloud, job, output, answers)
    report.say_summary(manifest, cloud.prices)
    report.say_files(paths)
    failed_lines.say_reasons(cloud, job, manifest)
    return exit_code_of(manifest)


def _fetch(cloud: Cloud, job: Job, folder: Path | None, answers: Sequence[str]) -> list[Path]:
    manifest = jobs.read_manifest(cloud, job)
    folder = folder or fetch.folder_for(job)
    kinds = kinds_to_write(cloud, job, manifest, answers)
    kept = {"jsonl"} if (folder / JSON_LINES).exists() else set()  # an earlier command was asked for it
    paths = fetch.fetch(cloud, job, manifest, folder, names_of(kinds))
    paths += write_answers(cloud, job, manifest, fetch.results_paths(manifest, folder), kinds)
    return without_means(paths, kinds, {*answers, *job.settings.answers, *kept})
