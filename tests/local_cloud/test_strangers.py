"""Others on this machine, and pages in its browsers: nothing of a local cloud answers them or is readable to them."""

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

import local_cloud
from local_cloud.aws import client
from local_cloud.state import Folder, Saved

if TYPE_CHECKING:
    from local_cloud import LocalCloud

PRIVATE = 0o077  # what others may do
KEY = "sk-real-canary"


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if is_open(path)]


def is_open(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # a cloud that is up replaces its files
        return False
    return not stat.S_ISLNK(mode) and bool(stat.S_IMODE(mode) & PRIVATE)


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "state")
    folder.make()
    folder.write(Saved.new())
    folder.write_providers("")
    assert open_to_others(folder.path) == []


def test_a_folder_of_a_version_before_is_closed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "state")
    for each in (folder.emulator_state, folder.logs):
        each.mkdir(parents=True)
    folder.write(Saved.new())
    for file in (folder.secrets, folder.providers, folder.path / "cloud.json"):
        file.touch()
        file.chmod(0o644)
    folder.make()
    assert open_to_others(folder.path) == []


def test_a_folder_that_holds_other_things_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Folder(tmp_path).make()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert open_to_others(tmp_path) == [str(tmp_path)]


def test_every_cloud_has_keys_of_its_own() -> None:
    keys = {key for saved in (Saved.new(), Saved.new()) for key in (saved.secret_access_key, saved.simulator_key)}
    assert (len(keys), min(map(len, keys)) >= 64) == (4, True)


@pytest.fixture
def cloud(cloud_dir: Path) -> "LocalCloud":
    return local_cloud.up(cloud_dir)


def code(
    headers: dict[str, str], cloud: "LocalCloud", target: str = "secretsmanager.GetSecretValue"
) -> tuple[int, str]:
    """What the emulator says to a request for a key."""
    asked = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"} | headers
    answer = httpx2.post(cloud.endpoint, headers=asked, content=b'{"SecretId": "batchdrop/openai"}')
    assert "access-control-allow-origin" not in answer.headers
    return answer.status_code, answer.json()["__type"]


@pytest.mark.e2e
def test_strangers_get_no_key_from_the_emulator(cloud: "LocalCloud") -> None:
    unsigned = f"AWS4-HMAC-SHA256 Credential={cloud.access_key_id}/20261126/us-east-1/secretsmanager/aws4_request"
    assert code({}, cloud) == (403, "MissingAuthenticationToken")
    assert code({"Origin": "https://evil.example"}, cloud) == (403, "AccessDenied")
    assert code({"Host": "evil.example"}, cloud) == (403, "AccessDenied")
    assert code({"Authorization": unsigned}, cloud) == (403, "IncompleteSignature")
    assert httpx2.get(f"{cloud.endpoint}/_ministack/health").status_code == 403
    assert httpx2.post(f"{cloud.endpoint}/_ministack/reset").status_code == 403
    assert httpx2.options(cloud.endpoint, headers={"Origin": "https://evil.example"}).status_code == 403
    for key, secret in ((cloud.access_key_id, "local"), ("000000000000", "test"), ("test", "test")):
        other = Saved(account=key, endpoint_port=int(cloud.endpoint[-5:].strip(":")), simulator_port=1)
        with pytest.raises(Exception, match=r"SignatureDoesNotMatch|InvalidClientTokenId"):
            client("lambda", with_secret(other, secret)).list_functions()


def with_secret(saved: Saved, secret: str) -> Any:
    values = {"endpoint": saved.endpoint, "access_key_id": saved.account, "secret_access_key": secret}
    return type("Access", (), values)()


@pytest.mark.e2e
def test_strangers_do_not_control_the_simulator(cloud: "LocalCloud") -> None:
    url = f"{cloud.simulator_url}/control/batches"
    assert httpx2.get(url).status_code == 401
    assert httpx2.get(url, headers=cloud.simulator_headers | {"Origin": "https://evil.example"}).status_code == 403
    assert httpx2.get(url, headers=cloud.simulator_headers).status_code == 200


@pytest.mark.e2e
def test_nothing_of_a_cloud_that_is_up_is_open_to_others(cloud: "LocalCloud") -> None:
    built = f"{cloud.state_dir}/cdk.out/"  # a private folder of code whose files have the modes of their packages
    assert [each for each in open_to_others(Path(cloud.state_dir)) if not each.startswith(built)] == []


@pytest.fixture
def kept_key(cloud_dir: Path, cloud: "LocalCloud") -> Path:
    client("secretsmanager", cloud).put_secret_value(SecretId="batchdrop/openai", SecretString=KEY)
    local_cloud.down(cloud_dir, keeps_keys=True)
    return cloud_dir


@pytest.mark.e2e
def test_a_real_key_is_kept_at_the_end_if_it_is_to_be(kept_key: Path) -> None:
    found = [path.name for path in kept_key.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert found == ["secretsmanager.json"]
