"""The clients and settings that the steps work with, made once, on first use."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import boto3
from botocore.config import Config

from batchdrop.aws.bucket import Files
from batchdrop.aws.events import Events
from batchdrop.aws.queues import Queues
from batchdrop.aws.store import Store
from batchdrop.providers.clients import Apis
from batchdrop.providers.config import Providers, load_providers
from batchdrop.providers.keys import Keys
from batchdrop.settings import Settings, providers_path, read_settings
from batchdrop.temporary_files import own_folder

_AWS = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=60)


@dataclass(frozen=True, kw_only=True)
class Services:
    """Handed to every step; time comes in here, and passes here, too."""

    settings: Settings
    providers: Providers
    store: Store
    files: Files
    queues: Queues
    events: Events
    apis: Apis
    now: Callable[[], int]
    sleep: Callable[[float], None] = time.sleep

    def after(self, hops: int) -> Self:
        """The same for the worker of a message that is so far in its chain."""
        return replace(self, queues=self.queues.after(hops))


def _now() -> int:
    return int(time.time())


@cache
def services() -> Services:
    """The services of this function, from its environment."""
    own_folder()  # before anything is done: a killed run may have left /tmp full
    settings = read_settings()
    providers = load_providers(providers_path())
    return Services(
        settings=settings,
        providers=providers,
        store=Store(boto3.client("dynamodb", config=_AWS), settings.table, now=_now),
        files=Files(boto3.client("s3", config=_AWS), settings.bucket),
        queues=Queues(boto3.client("sqs", config=_AWS), settings),
        events=Events(boto3.client("events", config=_AWS)),
        apis=Apis(providers, Keys()),
        now=_now,
    )
