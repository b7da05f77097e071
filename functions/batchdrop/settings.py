"""A function's settings, read once from its environment."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from batchdrop.errors import ConfigError

_PREFIX = "BATCHDROP_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is the variable `BATCHDROP_<FIELD>`.

    Attributes:
        deployment: Names this deployment at the providers and begins each custom_id: up to 12 of [a-z0-9].
        lease_seconds: How long a claim holds; longer than any function's time limit.
        function_seconds: The longest that a step may run.
        spool_bytes: Results that assemble holds on disk at once. With a piece of each output they fit into 10 GB, and
            they are read and written in less than a third of a run at 35 MB/s.
        piece_bytes: Outputs are put together from pieces of about this size: one PUT takes 5 GB.
        lines_per_split: Lines that may begin in a split, blank ones too: assemble holds 32 bytes for each, its function
            has 1 GB, and plan takes minutes for them.
        tick_seconds: The shortest polling interval, and the pace of sweep.
    """

    bucket: str
    table: str
    deployment: str
    lease_seconds: int
    function_seconds: int = 900
    spool_bytes: int = 2_000_000_000
    piece_bytes: int = 1024 * 1024 * 1024
    tick_seconds: int = 60
    split_bytes: int = 64 * 1024 * 1024
    lines_per_split: int = 10_000_000
    intake_queue: str | None = None
    plan_queue: str | None = None
    submit_queue: str | None = None
    finish_queue: str | None = None
    collect_queue: str | None = None
    assemble_queue: str | None = None
    publish_queue: str | None = None
    notify_queue: str | None = None
    intake_dead_letters: str | None = None
    plan_dead_letters: str | None = None
    submit_dead_letters: str | None = None
    finish_dead_letters: str | None = None
    collect_dead_letters: str | None = None
    assemble_dead_letters: str | None = None
    publish_dead_letters: str | None = None
    notify_dead_letters: str | None = None

    def redrives(self) -> list[tuple[str, str]]:
        """Each dead-letter queue with the queue that its messages came from."""
        pairs = (
            (self.intake_dead_letters, self.intake_queue),
            (self.plan_dead_letters, self.plan_queue),
            (self.submit_dead_letters, self.submit_queue),
            (self.finish_dead_letters, self.finish_queue),
            (self.collect_dead_letters, self.collect_queue),
            (self.assemble_dead_letters, self.assemble_queue),
            (self.publish_dead_letters, self.publish_queue),
            (self.notify_dead_letters, self.notify_queue),
        )
        return [(dead_letters, queue) for dead_letters, queue in pairs if dead_letters and queue]


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this function.

    Raises:
        ConfigError: A variable is missing or has no sense.
    """
    values = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(_PREFIX) and value
    }
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"environment {_PREFIX}*: {error}") from error


def providers_path(environment: Mapping[str, str] = os.environ) -> Path:
    """`providers.toml` lies at the root of the deployed code."""
    return Path(environment["LAMBDA_TASK_ROOT"]) / "providers.toml"
