"""Clients of a local cloud that cannot reach anything else, whatever the environment says."""

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local_cloud.state import REGION, Access

if TYPE_CHECKING:
    from collections.abc import Mapping


def client(service: str, cloud: Access, **config: Any) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    session = boto3.session.Session(
        aws_access_key_id=cloud.access_key_id, aws_secret_access_key=cloud.secret_access_key, region_name=REGION
    )
    settings: Mapping[str, Any] = {"connect_timeout": 5, "retries": {"total_max_attempts": 1}, "proxies": {}} | config
    return session.client(service, endpoint_url=cloud.endpoint, config=Config(**settings))
