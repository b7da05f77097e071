"""Reconciling a restored or adopted table: sweep does it, with the deployed keys; the command asks for it and waits."""

import time
from collections.abc import Callable

from batchdrop.aws.restores import Listed, Restore
from batchdrop.errors import ClaimLost

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.say import count, note, say
from batchdrop_cli.user_errors import UserError


def describe_hold(cloud: Cloud, restore: Restore, provider: str) -> str:
    """Return why nothing is sent to a provider, and what to do, in a sentence."""
    if not restore.asked_at:
        return (
            f"{provider}: nothing is sent: the table was restored or belongs to another deployment, and may not know "
            f"everything that was sent. Next: {cloud.command('reconcile')}"
        )
    reason = restore.providers.get(provider, Listed()).reason or "its batches are about to be listed"
    return f"{provider}: nothing is sent until the table is reconciled: {reason}"


def say_held(cloud: Cloud) -> None:
    """Say once what is held, where something is."""
    restore = cloud.store.restores.read()
    if restore.is_held and not restore.asked_at:
        note(
            "Nothing is sent: the table was restored or belongs to another deployment, and may not know everything "
            f"that was sent. Next: {cloud.command('reconcile')}",
            style="yellow",
        )
    elif restore.is_held:
        note(f"The table is being reconciled. To see its progress: {cloud.command('reconcile')}")


def release(cloud: Cloud, provider: str) -> None:
    """Let batches be sent to a provider that cannot be listed.

    Raises:
        UserError: Nothing is held for it, or nobody asked to reconcile yet.
    """
    while True:
        restore = cloud.store.restores.read()
        if not restore.asked_at or not restore.holds(provider):
            raise UserError(
                f"Reconciling does not wait for {provider}. See: {cloud.command('reconcile')}", code=WRONG_USE
            )
        listed = restore.providers.get(provider, Listed())
        released = Listed(is_released=True, batches=listed.batches)
        try:
            cloud.store.restores.save(restore, providers={**restore.providers, provider: released})
        except ClaimLost:
            continue
        return


def reconcile(cloud: Cloud, *, waits: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """Ask for it, and say how far it is until nothing is held. Twice is as good as once."""
    restores = cloud.store.restores
    if not restores.current(cloud.deployment).is_held:
        say("Nothing is held back: the table belongs to this deployment.")
        return
    restore, said = restores.ask(), ""
    while restore.is_held:
        words = _progress(restore)
        if words != said:
            note(words)
        said = words
        if not waits:
            return
        sleep(cloud.poll_seconds)
        restore = restores.read()
    for provider, listed in sorted(restore.providers.items()):
        say(f"{provider}: {count(listed.batches, 'batch', 'batches')} found that the table did not know.")
    say(f"Reconciled: batches are sent again, but none that was sent before. See: {cloud.command('jobs')}")


def _progress(restore: Restore) -> str:
    if not restore.has_checked_jobs:
        return "Checking which jobs are already published"
    waiting = [f"{name}: {each.reason}" for name, each in sorted(restore.providers.items()) if not each.is_released]
    files = [] if restore.has_listed_input else ["looking for dropped files that the table does not know"]
    return "Reconciling. " + "; ".join([*files, *waiting])
