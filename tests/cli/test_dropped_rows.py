"""Which files of JSON lines are dropped as they are, and which are refused as data that nothing is asked about."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.providers.config import load_providers
from botocore.exceptions import ClientError
from faking.compression import gzipped

import local_cloud
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.dropped_rows import check_rows
from batchdrop_cli.row_settings import REQUESTS, RowOptions, RowSettings
from batchdrop_cli.user_errors import NoTemplate

if TYPE_CHECKING:
    from cli.conftest import Aws

KEY = "input/team/a.jsonl"
DATA = b'{"id":1,"text":"good"}\n'
TEMPLATE = b'[template]\nmodel = "gpt-4o-mini"\nbody = { messages = [{ role = "user", content = "{{ text }}" }] }\n'


@pytest.fixture
def cloud(aws: "Aws") -> Cloud:
    del aws
    return Cloud(title="", is_local=False, bucket="batchdrop-test", table="batchdrop-jobs", session=boto3.Session())


def checked(cloud: Cloud, folder: Path, body: bytes, key: str = KEY) -> RowSettings:
    path = folder / Path(key).name
    path.write_bytes(body)
    return check_rows(cloud, path, key, RowOptions(), load_providers(local_cloud.PROVIDERS_FILE))


@pytest.mark.parametrize(
    "body",
    [
        DATA + b'{"model":"gpt-4o-mini"}\n',
        b'{"custom_id":"a"}\n',
        DATA + b'{"text":"' + b"x" * MAX_LINE_BYTES + b'"}\n',
        DATA + b"not JSON\n",
        b'{"custom_id":"a","url":"/v1/responses","method":"POST","request":{"model":"gpt-4o-mini"}}\n',
        b'{"custom_id":"a","messages":[]}\n',
    ],
    ids=["a mix", "an id alone", "a line too long", "no JSON", "another name for the body", "no model"],
)
def test_a_file_with_a_line_that_is_no_data_is_let_through(cloud: Cloud, tmp_path: Path, body: bytes) -> None:
    assert checked(cloud, tmp_path, body) == REQUESTS


@pytest.mark.parametrize("body", [DATA, b'{"url":"https://example.com/v1","input":"a","method":"GET"}\n'])
def test_a_file_of_data_is_refused(cloud: Cloud, tmp_path: Path, body: bytes) -> None:
    for each, key in ((body, KEY), (gzipped(body), f"{KEY}.gz")):
        with pytest.raises(NoTemplate):
            checked(cloud, tmp_path, each, key)


def test_a_compressed_file_of_requests_is_let_through(cloud: Cloud, tmp_path: Path) -> None:
    assert checked(cloud, tmp_path, gzipped(DATA + b'{"body":{}}\n'), f"{KEY}.gz") == REQUESTS


def test_data_is_let_through_where_a_folder_has_a_template(aws: "Aws", cloud: Cloud, tmp_path: Path) -> None:
    aws.drop("input/batchdrop.toml", TEMPLATE)
    assert checked(cloud, tmp_path, DATA).template is not None


def test_data_is_let_through_where_the_template_may_be_in_settings_that_may_not_be_read(
    cloud: Cloud, tmp_path: Path
) -> None:
    def refuse(params: Mapping[str, Any], **_: object) -> None:
        if params["url_path"].endswith("/input/batchdrop.toml"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    cloud.s3.meta.events.register("before-call.s3.GetObject", refuse)
    assert checked(cloud, tmp_path, DATA) == RowSettings(is_whole=False)
