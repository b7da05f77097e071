"""The policies of the documentation, each given to a user, on a local cloud that enforces them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from faking.readme import ROOT

if TYPE_CHECKING:
    from conftest import Behind

pytestmark = pytest.mark.e2e

POLICIES = ROOT / "docs/policies"
ROLES = ("dropper", "reader", "operator", "auditor")
DENIED = {"AccessDenied", "AccessDeniedException", "403"}


class Users:
    """One for each policy, of the folder `search`, which shares the deployment with `other`."""

    def __init__(self, behind: "Behind") -> None:
        self._cloud = behind.cloud
        self.bucket, self.table = behind.cloud.bucket, behind.cloud.table
        iam, names = behind.aws("iam"), {"BUCKET": self.bucket, "TABLE": self.table, "FOLDER": "search"}
        self._keys = {role: self._make(iam, role, names) for role in ROLES}

    def _make(self, iam: Any, role: str, names: dict[str, str]) -> dict[str, str]:
        text = (POLICIES / f"{role}.json").read_text(encoding="utf-8")
        for placeholder, name in names.items():
            text = text.replace(placeholder, name)
        iam.create_user(UserName=f"a-{role}")
        iam.put_user_policy(UserName=f"a-{role}", PolicyName="its-own", PolicyDocument=text.replace("STACK", "*"))
        key: dict[str, str] = iam.create_access_key(UserName=f"a-{role}")["AccessKey"]
        return key

    def client(self, role: str, service: str) -> Any:
        key = self._keys[role]
        return boto3.client(
            service,  # type: ignore[call-overload]  # one of three of its names
            endpoint_url=self._cloud.endpoint,
            region_name=self._cloud.region,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            config=Config(s3={"addressing_style": "path"}),
        )


@pytest.fixture
def users(enforcing: "Behind") -> Users:
    behind = enforcing
    s3, bucket = behind.aws("s3"), behind.cloud.bucket
    for folder in ("search", "other"):
        for key in (f"input/{folder}/x.crc", f"output/{folder}/x/job/results.jsonl"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"{}\n")
    return Users(behind)


def put(key: str) -> Callable[[Users, str], object]:
    return lambda users, role: users.client(role, "s3").put_object(Bucket=users.bucket, Key=key, Body=b"2\n")


def get(key: str) -> Callable[[Users, str], object]:
    return lambda users, role: users.client(role, "s3").get_object(Bucket=users.bucket, Key=key)


def list_(prefix: str) -> Callable[[Users, str], object]:
    return lambda users, role: users.client(role, "s3").list_objects_v2(Bucket=users.bucket, Prefix=prefix)


def delete(users: Users, role: str) -> object:
    return users.client(role, "s3").delete_object(Bucket=users.bucket, Key="input/other/none.crc", VersionId="null")


def rows(operation: str) -> Callable[[Users, str], object]:
    key = {"pk": {"S": "JOB#none"}, "sk": {"S": "JOB"}}
    given: dict[str, dict[str, Any]] = {
        "get_item": {"Key": key},
        "update_item": {"Key": key, "ConditionExpression": "attribute_exists(pk)", "UpdateExpression": "SET x = pk"},
        "put_item": {"Item": key, "ConditionExpression": "attribute_exists(pk)"},
        "delete_item": {"Key": key},
        "scan": {"Limit": 1},
    }

    def call(users: Users, role: str) -> object:
        return getattr(users.client(role, "dynamodb"), operation)(TableName=users.table, **given[operation])

    return call


def read_key(users: Users, role: str) -> object:
    return users.client(role, "secretsmanager").get_secret_value(SecretId="batchdrop/openai")


CALLS: dict[str, tuple[Callable[[Users, str], object], set[str]]] = {
    "drop a file in its folder": (put("input/search/x.crc"), {"dropper"}),
    "drop a file elsewhere": (put("input/other/x.crc"), set()),
    "drop settings for all": (put("input/batchdrop.toml"), set()),
    "name lines to retry": (put("output/search/x/job/retry-lines/l.jsonl"), {"dropper"}),
    "name lines to retry of others": (put("output/other/x/job/retry-lines/l.jsonl"), set()),
    "change results": (put("output/search/x/job/results.jsonl"), set()),
    "write work files": (put("work/job/plan.json"), set()),
    "read its folder's prompts": (get("input/search/x.crc"), {"dropper"}),
    "read others' prompts": (get("input/other/x.crc"), set()),
    "read its folder's results": (get("output/search/x/job/results.jsonl"), {"reader"}),
    "read others' results": (get("output/other/x/job/results.jsonl"), set()),
    "list its folder's results": (list_("output/search/"), {"reader", "operator", "auditor"}),
    "list others' results": (list_("output/other/"), {"operator", "auditor"}),
    "delete a version": (delete, {"operator"}),
    "see a job": (rows("get_item"), {"reader", "operator", "auditor"}),
    "cancel a job": (rows("update_item"), {"operator"}),
    "make a row": (rows("put_item"), set()),
    "forget a job": (rows("delete_item"), {"operator"}),
    "see all rows": (rows("scan"), {"auditor"}),
    "read a key": (read_key, set()),
}


def test_each_role_may_do_what_its_policy_says_and_nothing_else(users: Users) -> None:
    found = {what: {role for role in ROLES if not is_denied(call, users, role)} for what, (call, _) in CALLS.items()}
    assert found == {what: may for what, (_, may) in CALLS.items()}


def is_denied(call: Callable[[Users, str], object], users: Users, role: str) -> bool:
    try:
        call(users, role)
    except ClientError as error:
        return error.response["Error"]["Code"] in DENIED
    return False
