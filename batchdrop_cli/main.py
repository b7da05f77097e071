"""The commands. Each is a few lines: find the cloud, call one thing, print; every error ends in `main`."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import msgspec
from batchdrop import __version__
from batchdrop.providers.config import load_providers
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS, JobState
from botocore.exceptions import BotoCoreError
from cyclopts import App, Parameter

import local_cloud
from batchdrop_cli import demo as whole
from batchdrop_cli import drop, fetch, headroom, jobs, local, merge, progress, report, smoke
from batchdrop_cli import retry as retries
from batchdrop_cli.answers import write_csv
from batchdrop_cli.check import check_file
from batchdrop_cli.cloud import DEFAULT_STATE_DIR, Cloud, Where, find_cloud, in_folder
from batchdrop_cli.keys import find_provider, read_key, set_key
from batchdrop_cli.mistakes import FAILED, INTERRUPTED, WRONG_USE, Mistake, sentence
from batchdrop_cli.say import count, note, say
from batchdrop_cli.words import JOB_WORDS

OK = 0

Again = Annotated[bool, Parameter(negative="", help="Also when the same bytes are running already, and pay again.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="One JSON value on standard output.")]
Folder = Annotated[
    Path | None,
    Parameter(
        name=["-o", "--output"],
        help="The folder; results/NAME if left out, or results/NAME-JOB.",
    ),
]
Key = Annotated[str | None, Parameter(help="Where in the bucket; input/NAME if left out.")]
ProvidersFile = Annotated[
    Path | None,
    Parameter(help="Another providers.toml; if left out, the local cloud's as deployed, or for AWS the project's."),
]
AsCsv = Annotated[bool, Parameter(name="--csv", negative="", help="Write results.csv as well.")]
_ANYWHERE = Where()

app = App(
    name="batchdrop",
    help="Drop a JSONL file of LLM requests; the answers come back beside it, in order, at half price.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
local_app = App(name="local", help="The cloud on this machine: AWS's emulator with the deployed stack. No account.")
keys_app = App(name="keys", help="The providers' keys, in Secrets Manager.")
app.command(local_app)
app.command(keys_app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. 0: done; 1: it failed, or its job did; 2: used wrongly; 130: interrupted."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a sentence
        text, code = sentence(error)
        note(text, style="red")
        return code


def _run(arguments: Sequence[str] | None) -> int:
    tokens = None if arguments is None else list(arguments)
    code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    return code if isinstance(code, int) else OK


@local_app.command(name="up")
def local_up(  # noqa: PLR0913 - each is an option of the command
    *,
    as_json: AsJson = False,
    openai_base_url: Annotated[str | None, Parameter(help="Another server for OpenAI's API.")] = None,
    anthropic_base_url: Annotated[str | None, Parameter(help="Another server for Anthropic's API.")] = None,
    providers_file: Annotated[
        Path | None,
        Parameter(help="Another providers.toml, kept for the next `local up`. The simulator stands for all."),
    ] = None,
    real: Annotated[
        bool,
        Parameter(
            negative="", help="The vendors' own servers: paid. Keys from OPENAI_API_KEY and ANTHROPIC_API_KEY, if set."
        ),
    ] = False,
    state_dir: Annotated[Path, Parameter(help="Where its state lies.")] = DEFAULT_STATE_DIR,
) -> int:
    """Start it, with the provider simulator, and deploy the stack into it. It stays up; a restart loses nothing.

    Example: batchdrop local up
    """
    found = local.up(
        state_dir,
        openai_base_url=openai_base_url,
        anthropic_base_url=anthropic_base_url,
        providers_file=providers_file or local.kept_providers(state_dir),
        real=real,
    )
    local.say_up(found, as_json=as_json, options=in_folder(state_dir))
    return OK


@local_app.command(name="down")
def local_down(*, state_dir: Annotated[Path, Parameter(help="Where its state lies.")] = DEFAULT_STATE_DIR) -> int:
    """Stop it. Its state stays in the folder, for the next `local up`.

    Example: batchdrop local down
    """
    stopped = local_cloud.down(state_dir)
    say("The local cloud is down; its state is kept." if stopped else "No local cloud was up.")
    return OK


@keys_app.command(name="set")
def keys_set(
    provider: Annotated[str, Parameter(help="A name from providers.toml, such as openai.")],
    /,
    *,
    where: Where = _ANYWHERE,
    providers_file: ProvidersFile = None,
) -> int:
    """Write a provider's key into Secrets Manager. It is asked for and not shown, or read from a pipe.

    Example: batchdrop keys set openai
    """
    cloud = find_cloud(where)
    known = load_providers(providers_file or cloud.providers_file)
    config = find_provider(provider, known, str(providers_file or cloud.whose_providers))
    new = set_key(cloud, config.secret, read_key(provider))
    say(f"{'Created' if new else 'Updated'} the secret {config.secret} ({cloud.title}).")
    return OK


@app.command
def validate(
    file: Annotated[Path, Parameter(help="A file of JSON lines: .jsonl, .jsonl.gz or .jsonl.zst.")],
    /,
    *,
    providers_file: Annotated[Path, Parameter(help="The providers and their models.")] = local_cloud.PROVIDERS_FILE,
) -> int:
    """Check a file offline: where its lines would go, what is wrong with them. Exit code 1 when something is.

    Example: batchdrop validate examples/with_mistakes.jsonl
    """
    found = check_file(file, load_providers(providers_file))
    report.say_found(file, found)
    return FAILED if found.invalid else OK


@app.command
def put(
    file: Annotated[Path, Parameter(help="A file of JSON lines: .jsonl, .jsonl.gz or .jsonl.zst.")],
    /,
    *,
    wait: Annotated[bool, Parameter(negative="", help="Show progress until the manifest is there.")] = False,
    key: Key = None,
    again: Again = False,
    where: Where = _ANYWHERE,
) -> int:
    """Drop a file, and print its job. With --wait the exit code is 0 when the job completed, 1 when it did not.

    Example: batchdrop put reviews.jsonl --wait
    """
    key = drop.check(file, key)
    cloud = find_cloud(where)
    job_id = _drop(cloud, file, key, again=again)
    if not wait:
        return _leave(cloud, job_id)
    job = _wait(cloud, job_id)
    report.say_over(job, jobs.read_manifest(cloud, job))
    return _code(job)


@app.command
def run(  # noqa: PLR0913 - options of the command line
    file: Annotated[Path, Parameter(help="A file of JSON lines: .jsonl, .jsonl.gz or .jsonl.zst.")],
    /,
    *,
    output: Folder = None,
    csv: AsCsv = False,
    key: Key = None,
    again: Again = False,
    where: Where = _ANYWHERE,
) -> int:
    """Drop a file, wait, fetch its results, and sum up: counts, tokens, estimated cost.

    Example: batchdrop run examples/reviews_and_rights.jsonl -o answers
    """
    key = drop.check(file, key)
    _check_folder(output)
    cloud = find_cloud(where)
    return _see_through(cloud, _drop(cloud, file, key, again=again), output, csv=csv)


@app.command
def retry(  # noqa: PLR0913 - options of the command line
    job: Annotated[str, Parameter(help='A job\'s id, or "latest".')],
    file: Annotated[Path | None, Parameter(help="A mended copy of the lines; as many, each in its place.")] = None,
    /,
    *,
    finish: Annotated[
        Literal["length"] | None, Parameter(help="Take the lines whose answers were cut off by max_tokens instead.")
    ] = None,
    save: Annotated[Path | None, Parameter(help="Write the lines to this file, to be mended; nothing is sent.")] = None,
    no_wait: Annotated[bool, Parameter(negative="", help="Print the new job, and do not wait for it.")] = False,
    output: Folder = None,
    csv: AsCsv = False,
    key: Annotated[str | None, Parameter(help="Where in the bucket; beside the job's file if left out.")] = None,
    again: Annotated[
        bool, Parameter(negative="", help="Also when these lines are being retried, or were; and pay again.")
    ] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Send a finished job's failed lines again, as they are or mended; wait, fetch, and sum up, as `run` does.

    The lines become a job of their own. `batchdrop results JOB --with-retries` puts its results in their places.

    Example: batchdrop retry latest
    """
    _check_folder(output)
    cloud = find_cloud(where)
    with TemporaryDirectory() as folder:
        numbers = Path(folder) / "numbers"
        chosen = retries.choose(cloud, jobs.find(cloud, job), numbers, cut=finish is not None)
        if save is not None:
            return _save(cloud, chosen, save, file)
        job_id = _retry(cloud, chosen, file, key, again=again)
    if no_wait:
        return _leave(cloud, job_id)
    code = _see_through(cloud, job_id, output, csv=csv)
    note(f"All in one: {cloud.command(f'results {retries.first_of(cloud, chosen.job)} --with-retries')}")
    return code


@app.command(name="jobs")
def list_jobs(
    *,
    days: Annotated[int, Parameter(help="How far back.")] = 7,
    limit: Annotated[int, Parameter(help="How many at most.")] = 20,
    as_json: AsJson = False,
    where: Where = _ANYWHERE,
) -> int:
    """List recent jobs, the newest first.

    Example: batchdrop jobs --days 30 --json
    """
    cloud = find_cloud(where)
    found = jobs.recent(cloud.store, days=days, limit=limit)
    if as_json:
        _say_json([jobs.listed(job) for job in found])
    elif found:
        report.say_jobs(found)
    else:
        note(f"No file was dropped in the last {count(days, 'day')}. Drop one with: {cloud.command('put FILE')}")
    return OK


@app.command
def show(
    job: Annotated[str, Parameter(help='A job\'s id, or "latest".')] = jobs.LATEST,
    /,
    *,
    as_json: AsJson = False,
    where: Where = _ANYWHERE,
) -> int:
    """Show one job: how far it is, what it waits for, where its files lie.

    Example: batchdrop show latest
    """
    cloud = find_cloud(where)
    shown = jobs.shown(cloud, jobs.find(cloud, job))
    _say_json(shown) if as_json else report.say_shown(shown)
    return OK


@app.command
def providers(*, as_json: AsJson = False, providers_file: ProvidersFile = None, where: Where = _ANYWHERE) -> int:
    """Show the providers: which are paused and why, and how much of their limits is taken.

    Example: batchdrop providers
    """
    cloud = find_cloud(where)
    shown = headroom.shown_providers(cloud, load_providers(providers_file or cloud.providers_file))
    _say_json(shown) if as_json else headroom.say_providers(shown)
    return OK


@app.command
def cancel(
    job: Annotated[str, Parameter(help='A job\'s id, or "latest".')],
    /,
    *,
    where: Where = _ANYWHERE,
) -> int:
    """Stop a job: what waits is not sent, what was sent is stopped, what was answered is published.

    Example: batchdrop cancel latest
    """
    from batchdrop.cancel import TooLate, ask_to_cancel  # noqa: PLC0415 - brings all the steps with it

    cloud = find_cloud(where)
    found = jobs.find(cloud, job)
    try:
        ask_to_cancel(found.id, cloud.store, now=int(time.time()))
    except TooLate as error:
        raise Mistake(f"Job {found.id} is {error}: it is too late to cancel it.") from error
    say(f"Job {found.id} is being cancelled. See: {cloud.command(f'show {found.id}')}")
    return OK


@app.command
def results(
    job: Annotated[str, Parameter(help='A job\'s id, or "latest".')] = jobs.LATEST,
    /,
    *,
    output: Folder = None,
    csv: AsCsv = False,
    with_retries: Annotated[
        bool, Parameter(negative="", help="Put the results of its retries in their places; results and errors only.")
    ] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Fetch a finished job's results, errors, failed lines and manifest. Exit code 1 when the job did not complete.

    Example: batchdrop results latest -o answers --csv
    """
    cloud = find_cloud(where)
    found = jobs.find(cloud, job)
    if found.state not in TERMINAL_JOBS:
        see = cloud.command(f"show {found.id}")
        raise Mistake(f"Job {found.id} is {found.state}: there are no results yet. See: {see}")
    report.say_over(found, jobs.read_manifest(cloud, found))
    if with_retries and found.state is not JobState.FAILED:
        _merge(cloud, found, output, csv=csv)
    else:
        report.say_files(_fetch(cloud, found, output, csv=csv))
    return _code(found)


@app.command
def demo(*, state_dir: Annotated[Path, Parameter(help="The local cloud's folder.")] = DEFAULT_STATE_DIR) -> int:
    """Show the whole path on this machine: a local cloud, a file of real text, answers of both providers. Free.

    Example: batchdrop demo
    """
    return whole.run(state_dir)


@app.command(name="smoke-paid")
def smoke_paid(
    *,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    state_dir: Annotated[Path, Parameter(help="A local cloud's folder, of its own.")] = smoke.STATE_DIR,
) -> int:
    """Send six requests to the real providers, with your keys: PAID, well under a cent. It asks first.

    The keys are OPENAI_API_KEY and ANTHROPIC_API_KEY of the environment. It starts a local cloud of its own with
    --real, drops six short lines, waits (minutes, at most a day), checks the answers, and stops that cloud. Those who
    wrote batchdrop had no keys: this command has never been run against the real providers.

    Example: batchdrop smoke-paid
    """
    return smoke.run(state_dir, asked=yes)


def _check_folder(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise Mistake(f"{folder} is a file: name a folder for the results. Nothing was dropped.")


def _save(cloud: Cloud, chosen: retries.Chosen, path: Path, mended: Path | None) -> int:
    if mended is not None:
        raise Mistake(f"Either --save {path} or the mended copy {mended}, not both.", code=WRONG_USE)
    retries.save(cloud, chosen, path)
    say(f"{chosen} of job {chosen.job.id} in {path}; nothing was sent.")
    finish = " --finish length" if chosen.cut else ""
    send = cloud.command(f"retry {chosen.job.id} {path}{finish}")
    note(f"Mend it, each line in its place, and send it: {send}")
    return OK


def _retry(cloud: Cloud, chosen: retries.Chosen, file: Path | None, key: str | None, *, again: bool) -> str:
    if file is None and chosen.cut:
        save, send = (f"retry {chosen.job.id}{words} --finish length" for words in ("", " FILE"))
        raise Mistake(
            f"{chosen} of job {chosen.job.id}: the same limit would cut them again. Raise max_tokens in a copy: "
            f"{cloud.command(f'{save} --save FILE')} - and send that: {cloud.command(send)}",
            code=WRONG_USE,
        )
    if file is not None:
        retries.check_mended(cloud, chosen, file)
    key = retries.free_key(cloud, chosen.job) if key is None else drop.check_key(key)
    if not again:
        retries.refuse_twice(cloud, chosen, file)
    if file is not None:
        return _drop(cloud, file, key, again=again, metadata=retries.lineage(cloud, chosen))
    job_id = retries.send_failed(cloud, chosen, key)
    note(f"Dropped {chosen} of job {chosen.job.id} at s3://{cloud.bucket}/{key} ({cloud.title}).")
    return job_id


def _drop(cloud: Cloud, file: Path, key: str, *, again: bool, metadata: Mapping[str, str] | None = None) -> str:
    fingerprint = drop.fingerprint(file)
    running = None if again else drop.same_running(cloud, key, fingerprint)
    if running is not None:
        raise Mistake(
            f"The same bytes are running already as job {running}. See: {cloud.command(f'show {running}')} - "
            "to send them again, and pay again: --again"
        )
    with progress.upload_shown(file.name, fingerprint.bytes) as progressed:
        job_id = drop.upload(cloud, file, key, progressed, metadata)
    note(f"Dropped {file} at s3://{cloud.bucket}/{key} ({cloud.title}).")
    return job_id


def _wait(cloud: Cloud, job_id: str) -> Job:
    try:
        with progress.shown() as show_stage:
            return progress.wait_for_job(cloud, job_id, show=show_stage, sleep=time.sleep)
    except (KeyboardInterrupt, BotoCoreError):
        note(f"Job {job_id} goes on without this command. See: {cloud.command(f'show {job_id}')}")
        raise


def _leave(cloud: Cloud, job_id: str) -> int:
    say(job_id)
    note(f"See how far it is with: {cloud.command(f'show {job_id}')}")
    return OK


def _see_through(cloud: Cloud, job_id: str, output: Path | None, *, csv: bool) -> int:
    job = _wait(cloud, job_id)
    manifest = jobs.read_manifest(cloud, job)
    report.say_over(job, manifest)
    paths = _fetch(cloud, job, output, csv=csv)
    report.say_summary(manifest, paths) if manifest.models else report.say_files(paths)
    return _code(job)


def _merge(cloud: Cloud, job: Job, folder: Path | None, *, csv: bool) -> None:
    whole = merge.family(cloud.store, job)
    for retry in whole.left_out():
        note(f"Not merged: retry {retry.id}, {retry.state}: {retry.reason or JOB_WORDS[retry.state]}")
    merged = merge.merge(cloud, whole, folder or fetch.folder_for(job, merged=True))
    report.say_merged(merged.answered, merged.failed)
    report.say_files([*merged.paths, *(_csv(merged.paths[:1], merged.paths[0].parent) if csv else ())])


def _csv(results: Sequence[Path], folder: Path) -> list[Path]:
    path = folder / "results.csv"
    write_csv(results, path)
    return [path]


def _fetch(cloud: Cloud, job: Job, folder: Path | None, *, csv: bool) -> list[Path]:
    manifest = jobs.read_manifest(cloud, job)
    folder = folder or fetch.folder_for(job)
    paths = fetch.fetch(cloud, job, manifest, folder)
    if csv and manifest.files.results:
        paths += _csv(fetch.results_paths(manifest, folder), folder)
    return paths


def _code(job: Job) -> int:
    return OK if job.state is JobState.COMPLETED else FAILED


def _say_json(value: object) -> None:
    say(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2))
