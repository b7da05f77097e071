"""The cloud on this machine, as the command starts, describes and stops it."""

import json
from pathlib import Path

import local_cloud
from batchdrop_cli.local_steps import DEPLOY_LOG, steps_shown
from batchdrop_cli.say import note, say
from batchdrop_cli.user_errors import UserError
from local_cloud import LocalCloud, LocalCloudError
from local_cloud.machine import full_disk
from local_cloud.state import Folder


def up(
    state_dir: Path,
    *,
    openai_base_url: str | None = None,
    anthropic_base_url: str | None = None,
    providers_file: Path | None = None,
    real: bool = False,
) -> tuple[LocalCloud, bool]:
    """Bring it up, saying each step; True when it was up, as it is, already.

    Raises:
        UserError: It could not be brought up.
    """
    try:
        with steps_shown(Folder(state_dir).logs / DEPLOY_LOG) as steps:
            found = local_cloud.up(
                state_dir,
                openai_base_url=openai_base_url,
                anthropic_base_url=anthropic_base_url,
                providers_file=providers_file,
                real=real,
                on_step=steps.begin,
                on_note=note,
            )
    except LocalCloudError as error:
        raise UserError(str(error)) from error
    return found, not steps.begun


def kept_providers(state_dir: Path) -> Path | None:
    """The providers' file that the cloud was brought up with last, when it is not the project's; it is said.

    Raises:
        UserError: It is gone.
    """
    kept = local_cloud.own_providers(state_dir)
    if kept is None:
        return None
    if not kept.is_file():
        raise UserError(
            f"{kept} configured the providers and no longer exists: put it back, or name another file with "
            "--providers-file."
        )
    note(f"The providers are still those of {kept}; --providers-file names others.")
    return kept


def down(state_dir: Path, *, keeps_keys: bool = False) -> bool:
    """Stop it; whether it was up.

    Raises:
        UserError: Something of it could not be ended.
    """
    full = full_disk(state_dir)
    if full and local_cloud.exists(state_dir):
        note(f"{full} What was not saved is lost.", style="red")
    try:
        return local_cloud.down(state_dir, keeps_keys=keeps_keys)
    except LocalCloudError as error:
        raise UserError(str(error)) from error


def say_up(found: LocalCloud, *, as_json: bool, was_up: bool = False, options: str = "") -> None:
    """Describe it, and what to do next; `options` is what a command repeats to find it."""
    if as_json:
        say(json.dumps(found.as_json()))
        return
    say(f"The local cloud {'was up already' if was_up else 'is up'} at {found.endpoint}.")
    say(f"  bucket     {found.bucket}: drop files under input/")
    say(f"  table      {found.table}")
    say(f"  providers  {', '.join(found.providers)}, at {found.simulator_url or 'the servers you named'}")
    say(f"             from {found.providers_from}")
    if found.simulator_url:
        say("             their answers are made up: a word and a mark, such as [23591728705f]")
    say(f"  logs       {found.logs}")
    run = f"batchdrop run examples/reviews_and_rights.jsonl{options}"
    say(f"Try: {run} - and at the end: batchdrop local down{options}")
