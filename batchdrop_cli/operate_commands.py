"""The commands that inspect and repair a deployment: doctor, watch, logs, redrive, keys check, local status."""

from pathlib import Path
from typing import Annotated

from batchdrop.providers.config import load_providers
from cyclopts import Parameter

from batchdrop_cli import dead_letters, doctor, jobs, key_checks, local_status
from batchdrop_cli.cloud import Cloud, Target, find_cloud
from batchdrop_cli.deployed import find_parts
from batchdrop_cli.exit_codes import FAILED, OK
from batchdrop_cli.job_commands import Yes, ask, say_json, watch_job
from batchdrop_cli.job_logs import lines_of, say_logged
from batchdrop_cli.keys import find_provider
from batchdrop_cli.options import DEFAULT_TARGET, AsJson, JobId, ProvidersFile
from batchdrop_cli.say import count, note
from batchdrop_cli.state_dir import find_state_dir
from batchdrop_cli.user_errors import UserError


def doctor_(*, as_json: AsJson = False, providers_file: ProvidersFile = None, target: Target = DEFAULT_TARGET) -> int:
    try:
        cloud = find_cloud(target)
    except UserError as error:
        found = [doctor.describe_absence(error)]
    else:
        found = doctor.examine(cloud, None if providers_file is None else load_providers(providers_file))
    say_json(found) if as_json else doctor.say_findings(found)
    return FAILED if doctor.is_wrong(found) or doctor.is_blind(found) else OK


def watch(job: JobId = jobs.LATEST, /, *, target: Target = DEFAULT_TARGET) -> int:
    return watch_job(job, target)


def logs(job: JobId = jobs.LATEST, /, *, as_json: AsJson = False, target: Target = DEFAULT_TARGET) -> int:
    cloud = find_cloud(target)
    found = jobs.find(cloud, job)
    lines = lines_of(cloud, found)
    if as_json:
        say_json(lines)
        return OK
    for line in lines:
        say_logged(line)
    if not lines:
        note(f"No logs are kept of job {found.id}. See: {cloud.command(f'show {found.id}')}")
    return OK


def redrive(*, yes: Yes = False, as_json: AsJson = False, target: Target = DEFAULT_TARGET) -> int:
    cloud = find_cloud(target)
    held = dead_letters.hold(cloud, find_parts(cloud))
    letters = [each.letter for each in held]
    try:
        if as_json:
            say_json(letters)
        elif letters:
            dead_letters.say_letters(letters)
        if not letters:
            note("There are no dead letters.")
            return OK
        if not yes:
            ask(f"Send {count(len(held), 'letter')} again?", f"To send them again: {cloud.command('redrive --yes')}")
    except BaseException:
        dead_letters.release(cloud, held)
        raise
    return _say_sent(cloud, dead_letters.send_again(cloud, held), len(held))


def _say_sent(cloud: Cloud, sent: int, held: int) -> int:
    note(f"{count(sent, 'letter')} sent again. See: {cloud.command('doctor')}")
    if sent < held:
        raise UserError(f"{count(held - sent, 'letter')} could not be sent. Repeat the command in two minutes.")
    return OK


def keys_check(
    provider: Annotated[str | None, Parameter(help="One of the providers; default: all of them.")] = None,
    /,
    *,
    as_json: AsJson = False,
    target: Target = DEFAULT_TARGET,
    providers_file: ProvidersFile = None,
) -> int:
    cloud = find_cloud(target)
    known = load_providers(providers_file or cloud.providers_file)
    whose = str(providers_file or cloud.providers_source)
    asked = list(known.values()) if provider is None else [find_provider(provider, known, whose)]
    found = key_checks.check_keys(cloud, asked)
    say_json(found) if as_json else key_checks.say_checked(found)
    return FAILED if any(map(key_checks.is_wrong, found)) else OK


def local_status_(
    *,
    as_json: AsJson = False,
    state_dir: Annotated[
        Path | None, Parameter(help="The folder of its state; default: .local, or the last one.")
    ] = None,
) -> int:
    status = local_status.status_of(find_state_dir(state_dir))
    say_json(status) if as_json else local_status.say_status(status, state_dir)
    return OK if status.state == "up" else FAILED
