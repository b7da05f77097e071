"""A held table is said with what to do; reconciling is asked for, waited for, and said to be over."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from batchdrop.aws.restores import Listed
from batchdrop.records import Batch, Job

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.reconcile import reconcile

if TYPE_CHECKING:
    from conftest import Aws, Run

TABLE = "batchdrop-jobs"
WAITS = Listed(reason="1 of its batches do not show whose they are before they end")


def hold(aws: "Aws", **changes: Any) -> None:
    """The table is a copy of another's: its row names that one."""
    restores = aws.store.restores
    restores.save(restores.read(), owner="another/table/1")
    assert restores.current("test").is_held
    restores.save(restores.read(), **changes)


def test_a_held_table_is_said_by_jobs_and_show_with_the_next_command(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch())
    hold(aws)
    sentence = (
        "nothing is sent: the table was restored or belongs to another deployment, and may not know everything "
        "that was sent. "
        "Next: batchdrop reconcile"
    )
    assert f"waits    openai: {sentence}\n" in run("show", "latest").out
    assert f"N{sentence[1:]}\n" in run("jobs").err


def test_a_table_that_is_being_reconciled_says_what_it_waits_for(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(provider="anthropic"))
    hold(aws, asked_at=1, has_checked_jobs=True, providers={"anthropic": WAITS})
    assert f"waits    anthropic: nothing is sent until the table is reconciled: {WAITS.reason}" in run("show").out
    ran = run("reconcile", "--no-wait")
    assert ran.err.split() == (
        f"Reconciling. looking for dropped files that the table does not know; anthropic: {WAITS.reason}".split()
    )


def test_where_nothing_is_held_there_is_nothing_to_do(aws: "Aws", run: "Run") -> None:
    assert run("reconcile") == (0, "Nothing is held back: the table belongs to this deployment.\n", "")
    assert aws.store.restores.read().asked_at == 0


def test_the_command_asks_and_waits_until_nothing_is_held(aws: "Aws", capsys: pytest.CaptureFixture[str]) -> None:
    hold(aws)
    restores = aws.store.restores
    cloud = Cloud(title="", is_local=False, bucket="b", table=TABLE, session=boto3.Session(), deployment="test")
    states = iter([{"has_checked_jobs": True, "providers": {"openai": WAITS}}, {}, {"has_listed_input": True}])

    def sleep(_seconds: float) -> None:
        assert restores.read().asked_at
        changes = next(states, None)
        if changes is None:
            restores.end(restores.save(restores.read(), providers={"openai": Listed(is_released=True, batches=2)}))
        else:
            restores.save(restores.read(), **changes)

    reconcile(cloud, waits=True, sleep=sleep)
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "Checking which jobs are already published",
        f"Reconciling. looking for dropped files that the table does not know; openai: {WAITS.reason}",
        f"Reconciling. openai: {WAITS.reason}",
    ]
    assert said.out.splitlines() == [
        "openai: 2 batches found that the table did not know.",
        "Reconciled: batches are sent again, but none that was sent before. See: batchdrop jobs",
    ]


def test_a_provider_that_cannot_be_listed_is_released_by_hand(aws: "Aws", run: "Run") -> None:
    hold(aws)
    assert run("reconcile", "--without", "openai", "--yes").code == 2  # nobody has asked yet
    run("reconcile", "--no-wait")
    assert run("reconcile", "--without", "openai", "--no-wait").code == 2  # nobody is there to be asked
    assert aws.store.restores.read().holds("openai")
    assert run("reconcile", "--without", "openai", "--yes", "--no-wait").code == 0
    held = aws.store.restores.read()
    assert [held.holds(name) for name in ("openai", "anthropic")] == [False, True]
