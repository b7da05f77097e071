"""Which cloud a command works on, and the clients for it: the local one when it is up, else the stack on AWS."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated

import boto3
from batchdrop.files import Files
from batchdrop.store import Store
from botocore.config import Config
from botocore.exceptions import ClientError
from cyclopts import Parameter

import local_cloud
from batchdrop_cli.mistakes import Mistake

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

# A pause that has just ended is told until a submission goes through: that ends it, or begins the next one.
_PAUSE_TOLD_SECONDS = 90
DEFAULT_STACK = "batchdrop"
DEFAULT_STATE_DIR = Path(".local")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Which cloud.

    Attributes:
        aws: The stack on AWS, even when a local cloud is up.
        stack: Its name, when it is not "batchdrop"; means --aws.
        region: Its region, when it is not the profile's; means --aws.
        state_dir: The local cloud's folder.
    """

    aws: Annotated[bool, Parameter(negative="", help="Use the stack on AWS, even when a local cloud is up.")] = False
    stack: Annotated[str | None, Parameter(help='The stack on AWS, when it is not "batchdrop"; means --aws.')] = None
    region: Annotated[str | None, Parameter(help="Its region, when it is not your profile's; means --aws.")] = None
    state_dir: Annotated[Path, Parameter(help="The local cloud's folder.")] = DEFAULT_STATE_DIR

    @property
    def means_aws(self) -> bool:
        return self.aws or self.stack is not None or self.region is not None


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A bucket, a table and the way to them."""

    title: str
    is_local: bool
    bucket: str
    table: str
    session: boto3.Session
    endpoint: str | None = None

    @cached_property
    def s3(self) -> "S3Client":
        # The emulator has no bucket names in its host name.
        config = Config(s3={"addressing_style": "path"}) if self.endpoint else None
        client: S3Client = self.session.client("s3", endpoint_url=self.endpoint, config=config)
        return client

    @cached_property
    def files(self) -> Files:
        return Files(self.s3, self.bucket)

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        client: SecretsManagerClient = self.session.client("secretsmanager", endpoint_url=self.endpoint)
        return client

    @cached_property
    def store(self) -> Store:
        client: DynamoDBClient = self.session.client("dynamodb", endpoint_url=self.endpoint)
        return Store(client, self.table, now=lambda: int(time()) - _PAUSE_TOLD_SECONDS)

    @property
    def poll_seconds(self) -> float:
        """How often a waiting command looks: a local job may be over in seconds, one on AWS takes minutes."""
        return 0.5 if self.is_local else 5.0


def find_cloud(where: Where) -> Cloud:
    """The local cloud when it is up and AWS is not asked for, else the stack on AWS.

    Raises:
        Mistake: There is no such stack, or it is not batchdrop's.
    """
    if not where.means_aws:
        found = local_cloud.current(where.state_dir)
        if found is not None:
            return _local(found)
    return _deployed(where.stack or DEFAULT_STACK, where.region)


def _local(found: local_cloud.LocalCloud) -> Cloud:
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
    )


def _deployed(stack: str, region: str | None) -> Cloud:
    session = boto3.Session(region_name=region)
    client: CloudFormationClient = session.client("cloudformation")
    try:
        answer = client.describe_stacks(StackName=stack)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        raise Mistake(
            f'There is no stack "{stack}" in {session.region_name}. Deploy it (make deploy), or name yours with '
            "--stack and --region; for a cloud on this machine: batchdrop local up"
        ) from error
    outputs = {each["OutputKey"]: each["OutputValue"] for each in answer["Stacks"][0].get("Outputs", [])}
    missing = [name for name in ("Bucket", "Table") if name not in outputs]
    if missing:
        raise Mistake(f'The stack "{stack}" has no output {missing[0]}: it is not a batchdrop stack, or not yet whole.')
    return Cloud(
        title=f"stack {stack} in {session.region_name}",
        is_local=False,
        bucket=outputs["Bucket"],
        table=outputs["Table"],
        session=session,
    )
