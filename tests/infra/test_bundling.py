import marshal
import os
import platform
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from aws_cdk import aws_lambda as lambda_

from infra.bundling import DEPENDENCIES, PLATFORMS, asset_hash, build
from infra.context import ROOT

PROVIDERS = ROOT / "providers.toml"
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}  # as Lambda says it, as wheels say it
HOST = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"

Bundles = dict[str, Path]


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an older archive lies, and what an interrupted install left."""
    folder = tmp_path_factory.mktemp("dependencies")
    (folder / PLATFORMS[HOST] / "installed").mkdir(parents=True)
    for name in ("older.zip", "interrupted.new", "installed/part.py"):
        (folder / PLATFORMS[HOST] / name).touch()
    return folder


@pytest.fixture(scope="session")
def archives(dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    made = {architecture: tmp_path_factory.mktemp(architecture) / "functions.zip" for architecture in MACHINES}
    usual = os.umask(0o077)  # as a local cloud builds, and whoever shares a machine
    for architecture, archive in made.items():
        kept_in = dependencies if architecture == HOST else DEPENDENCIES
        build(archive, architecture=architecture, providers_file=PROVIDERS, dependencies=kept_in)
    os.umask(usual)
    return made


@pytest.fixture(scope="session")
def bundles(archives: Bundles, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """What lies in /var/task."""
    made = {architecture: tmp_path_factory.mktemp(architecture) for architecture in MACHINES}
    for architecture, target in made.items():
        shutil.unpack_archive(archives[architecture], target)
    return made


@pytest.mark.e2e
def test_a_bundle_is_built_for_the_functions_platform(bundles: Bundles) -> None:
    machines = {
        architecture: {path.name.split("-")[2] for path in target.rglob("*.cpython-313-*.so")}
        for architecture, target in bundles.items()
    }
    assert machines == {"arm64": {"aarch64"}, "x86_64": {"x86_64"}}


@pytest.mark.e2e
def test_a_bundle_holds_both_sdks_our_code_and_the_providers(bundles: Bundles) -> None:
    expected = ["openai", "anthropic", "boto3", "msgspec", "aws_lambda_powertools", "batchdrop", "handlers"]
    for target in bundles.values():
        assert [name for name in expected if not (target / name / "__init__.py").is_file()] == []
        assert (target / "providers.toml").read_bytes() == PROVIDERS.read_bytes()


@pytest.mark.e2e
def test_a_bundle_fits_into_a_function(bundles: Bundles) -> None:
    sizes = [sum(path.stat().st_size for path in each.rglob("*") if path.is_file()) for each in bundles.values()]
    assert max(sizes) < 200 * 1024 * 1024  # Lambda takes 250 MB, unzipped


@pytest.mark.e2e
def test_a_bundles_bytecode_is_never_checked_against_its_source(bundles: Bundles) -> None:
    for module in ("openai/__init__.py", "anthropic/__init__.py", "batchdrop/__init__.py"):
        source = bundles["arm64"] / module
        cached = (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").read_bytes()
        assert cached[4:8] == (1).to_bytes(4, "little"), module  # PEP 552: by hash, not checked
        assert marshal.loads(cached[16:]).co_filename == f"/var/task/{module}"  # noqa: S302 - written a moment ago


@pytest.mark.e2e
@pytest.mark.usefixtures("archives")
def test_dependencies_are_installed_once_and_only_what_is_current_is_kept(dependencies: Path, tmp_path: Path) -> None:
    before = kept(dependencies)
    build(tmp_path / "again.zip", architecture=HOST, providers_file=PROVIDERS, dependencies=dependencies)
    assert kept(dependencies) == before
    assert [path.parent.name for path in before] == [PLATFORMS[HOST]]


def kept(dependencies: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in dependencies.glob("*/*")}


@pytest.mark.e2e
def test_the_same_inputs_give_the_same_bytes_wherever_dependencies_come_from(archives: Bundles, tmp_path: Path) -> None:
    build(tmp_path / "again.zip", architecture=HOST, providers_file=PROVIDERS)
    assert (tmp_path / "again.zip").read_bytes() == archives[HOST].read_bytes()


@pytest.mark.e2e
def test_every_user_may_read_what_is_deployed_whoever_built_it(archives: Bundles) -> None:
    with zipfile.ZipFile(archives[HOST]) as archive:
        assert {stat.S_IMODE(entry.external_attr >> 16) for entry in archive.infolist()} == {0o755}


@pytest.mark.e2e
def test_a_bundle_imports_with_nothing_else_beside_it(bundles: Bundles) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import boto3, openai, anthropic, msgspec, aws_lambda_powertools; "
        "[boto3.client(name, region_name='us-east-1') for name in ('dynamodb', 's3', 'sqs', 'events')]"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(bundles[HOST])], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_asset_is_named_by_all_that_goes_into_it(tmp_path: Path) -> None:
    other = tmp_path / "providers.toml"
    other.write_text(PROVIDERS.read_text() + "\n")
    arm, x86 = lambda_.Architecture.ARM_64, lambda_.Architecture.X86_64
    given = [(arm, PROVIDERS), (x86, PROVIDERS), (arm, other), (arm, PROVIDERS)]
    hashes = [asset_hash(architecture=architecture, providers_file=file) for architecture, file in given]
    assert hashes[0] == hashes[3]
    assert len(set(hashes)) == 3
