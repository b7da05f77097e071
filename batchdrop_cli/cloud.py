"""The cloud that a command works on, and its clients: the local one of this folder, else the stack on AWS."""

import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from getpass import getuser
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated, Any

import boto3
from batchdrop.aws.bucket import Files
from batchdrop.aws.events import Events
from batchdrop.aws.store import Store
from batchdrop.errors import ConfigError
from batchdrop.providers.config import Providers, load_providers
from batchdrop.providers.price_list import settled_prices
from batchdrop.rates import PriceList
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cyclopts import Parameter

import local_cloud
from batchdrop_cli.say import Notify, describe_newer, note
from batchdrop_cli.state_dir import HERE, find_state_dir, is_named
from batchdrop_cli.user_errors import UserError
from local_cloud.machine import full_disk

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

# A pause that has just ended is shown until a submission goes through: that ends it, or begins the next one.
_PAUSE_SHOWN_SECONDS = 90
DEFAULT_STACK = "batchdrop"
_NO_PROXY = Config(proxies={})  # this machine's own addresses are never sent through a proxy


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Target:
    """The cloud that is meant.

    Attributes:
        aws: The stack on AWS, even with a local cloud here.
        stack: Its name, when it is not "batchdrop"; means --aws.
        region: Its region, when it is not the profile's; means --aws.
        state_dir: The local cloud's folder; without one, `.local` if there is one, or the last one's.
        profile: The AWS profile, for programs: the command takes AWS_PROFILE. Means --aws.
    """

    aws: Annotated[bool, Parameter(negative="", help="Use the stack on AWS, even with a local cloud here.")] = False
    stack: Annotated[
        str | None, Parameter(metavar="NAME", help='The stack on AWS, when it is not "batchdrop"; means --aws.')
    ] = None
    region: Annotated[
        str | None, Parameter(metavar="REGION", help="Its region, when it is not your profile's; means --aws.")
    ] = None
    state_dir: Annotated[Path | None, Parameter(help="The local cloud's folder; default: .local, or the last one.")] = (
        None
    )
    profile: Annotated[str | None, Parameter(parse=False)] = None

    @property
    def means_aws(self) -> bool:
        return self.aws or any(each is not None for each in (self.stack, self.region, self.profile))

    @property
    def options(self) -> str:
        """The options that find the same cloud in another command: ` --state-dir mine`, mostly none."""
        if not self.means_aws:
            return in_folder(self.state_dir)
        named = (("--stack", self.stack), ("--region", self.region))
        return "".join(f" {name} {shlex.quote(value)}" for name, value in named if value is not None) or " --aws"


def in_folder(state_dir: Path | None) -> str:
    """Return the options that name the local cloud of a folder."""
    return "" if state_dir in {None, HERE} else f" --state-dir {shlex.quote(str(state_dir))}"


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A bucket, a table and the way to them; `deployment` is its name at the providers.

    `options` is what another command repeats to find it; `providers_file` holds its providers, and `providers_source`
    says so to a person. `logs` is the folder of the local cloud's logs; `simulator_url` begins the addresses of its
    simulated providers. `notify` takes what whoever uses it should know meanwhile.
    """

    title: str
    is_local: bool
    bucket: str
    table: str
    session: boto3.Session
    endpoint: str | None = None
    deployment: str = ""
    stack: str = DEFAULT_STACK
    options: str = ""
    logs: str | None = None
    simulator_url: str | None = None
    providers_file: Path = local_cloud.PROVIDERS_FILE
    providers_source: str = str(local_cloud.PROVIDERS_FILE)
    prices_file: Path = local_cloud.PROVIDERS_FILE  # its providers at their own addresses, which tell what they charge
    notify: Notify = note

    def command(self, words: str) -> str:
        """A command to be tried next, as it is typed."""
        return f"batchdrop {words}{self.options}"

    def notify_newer(self, job: str) -> None:
        self.notify(describe_newer(job))

    @cached_property
    def prices(self) -> PriceList:
        """The prices of models there; by their names alone where the file cannot be read: a job is shown even so."""
        try:
            providers = load_providers(self.prices_file)
        except (ConfigError, OSError):
            providers = Providers({})
        return settled_prices(providers)

    @cached_property
    def s3(self) -> "S3Client":
        return self.new_s3()

    def new_s3(self) -> "S3Client":
        """A client that nobody else uses."""
        # The emulator has no bucket names in its host name.
        config = Config(s3={"addressing_style": "path"}, proxies={}) if self.endpoint else None
        client: S3Client = self.session.client("s3", endpoint_url=self.endpoint, config=config)
        return client

    @cached_property
    def files(self) -> Files:
        return Files(self.s3, self.bucket)

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        client: SecretsManagerClient = self.client("secretsmanager")
        return client

    @cached_property
    def events(self) -> Events:
        client: EventBridgeClient = self.client("events")
        return Events(client)

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        config = _NO_PROXY if self.endpoint else None
        return self.session.client(service, endpoint_url=self.endpoint, config=config)

    @cached_property
    def store(self) -> Store:
        client: DynamoDBClient = self.client("dynamodb")
        return Store(client, self.table, now=lambda: int(time()) - _PAUSE_SHOWN_SECONDS)

    @cached_property
    def user(self) -> str | None:
        """The user of the command: on AWS the caller's ARN, here the account's name; None where that is unknown."""
        try:
            return getuser() if self.is_local else self.session.client("sts").get_caller_identity()["Arn"]
        except (BotoCoreError, ClientError, OSError):
            return None

    @property
    def poll_seconds(self) -> float:
        """How often a waiting command looks: a local job may be over in seconds, one on AWS takes minutes."""
        return 0.5 if self.is_local else 5.0


def find_cloud(target: Target, notify: Notify = note) -> Cloud:
    """The local cloud of the folder, unless AWS is asked for; the stack on AWS where there is none.

    Where there is one that is not up, AWS is never taken instead: that would be paid. `notify` takes what whoever asks
    should know, now and later.

    Raises:
        UserError: The local cloud is not up; there is no such stack, or it is not batchdrop's.
    """
    return replace(_find(target, notify), notify=notify)


def _find(target: Target, notify: Notify) -> Cloud:
    if target.means_aws:
        return _deployed(target)
    folder = find_state_dir(target.state_dir, notify)
    if not is_named(target.state_dir) and not local_cloud.exists(folder):
        return _deployed(target)
    found = local_cloud.current(folder)
    if found is None:
        raise UserError(
            f"The local cloud of {folder} is not up. Start it with: batchdrop local up{in_folder(target.state_dir)} - "
            "or use the stack on AWS with --aws"
        )
    full = full_disk(folder)
    if full:
        notify(full)
    return _local(found, target)


def _local(found: local_cloud.LocalCloud, target: Target) -> Cloud:
    session = boto3.Session(
        aws_access_key_id=found.access_key_id,
        aws_secret_access_key=found.secret_access_key,
        region_name=found.region,
    )
    return Cloud(
        title="local cloud",
        is_local=True,
        bucket=found.bucket,
        table=found.table,
        session=session,
        endpoint=found.endpoint,
        deployment=found.deployment,
        stack=found.stack_name,
        options=target.options,
        logs=found.logs,
        simulator_url=found.simulator_url,
        providers_file=Path(found.providers_file),
        providers_source=f"The local cloud, deployed from {found.providers_from},",
        prices_file=_first_file(Path(found.providers_from), Path(found.providers_file)),
    )


def _first_file(*paths: Path) -> Path:
    return next((path for path in paths if path.is_file()), paths[-1])


def _deployed(target: Target) -> Cloud:
    stack = target.stack or DEFAULT_STACK
    session = boto3.Session(region_name=target.region, profile_name=target.profile)
    client: CloudFormationClient = session.client("cloudformation")
    try:
        answer = client.describe_stacks(StackName=stack)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        raise UserError(
            f'There is no stack "{stack}" in {session.region_name}. Deploy it (make deploy), or name yours with '
            "--stack and --region; for a cloud on this machine: batchdrop local up"
        ) from error
    outputs = {each["OutputKey"]: each["OutputValue"] for each in answer["Stacks"][0].get("Outputs", [])}
    missing = [name for name in ("Bucket", "Table") if name not in outputs]
    if missing:
        raise UserError(
            f'The stack "{stack}" has no output {missing[0]}: it is not a batchdrop stack, or its deployment is '
            "not complete."
        )
    return Cloud(
        title=f"stack {stack} in {session.region_name}",
        is_local=False,
        bucket=outputs["Bucket"],
        table=outputs["Table"],
        session=session,
        deployment=outputs.get("Deployment", ""),
        stack=stack,
        options=target.options,
    )
