"""`python -m batchdrop_cli.credentials`: are there AWS credentials and a region? Asked before minutes of bundling.

It takes the arguments of `cdk deploy` and heeds `--profile`.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from batchdrop_cli.exit_codes import FAILED, OK, WRONG_USE
from batchdrop_cli.say import note
from batchdrop_cli.user_errors import sentence

_QUICK = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})


def main(arguments: Sequence[str]) -> int:
    """Say who deploys where, or what is missing. 0 when there is all that is needed."""
    try:
        problem, place = describe_missing(boto3.Session(profile_name=profile_of(arguments)))
    except ProfileNotFound as error:
        note(f"{error}. `aws configure list-profiles` names those that there are.", style="red")
        return WRONG_USE
    except (BotoCoreError, ClientError) as error:
        note(sentence(error)[0], style="red")
        return FAILED
    note(problem or place, style="red" if problem else None)
    return WRONG_USE if problem else OK


def describe_missing(session: boto3.Session) -> tuple[str | None, str]:
    """Return what is missing, if anything is, and the account and region in use."""
    if session.get_credentials() is None:
        return "There are no AWS credentials: run `aws configure` or `aws sso login`, set AWS_PROFILE.", ""
    if session.region_name is None:
        return "No AWS region is set: set AWS_REGION, or a region in your AWS profile.", ""
    account = session.client("sts", config=_QUICK).get_caller_identity()["Account"]
    return None, f"AWS account {account}, region {session.region_name}"


def profile_of(arguments: Sequence[str]) -> str | None:
    """`--profile NAME` or `--profile=NAME`, as the CDK takes them."""
    for argument, following in pairwise([*arguments, None]):
        if argument is not None and argument.startswith("--profile="):
            return argument.partition("=")[2]
        if argument == "--profile":
            return following
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
