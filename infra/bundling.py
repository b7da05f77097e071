"""The functions' code asset, built without Docker: dependencies for Lambda's platform, our code, bytecode."""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

from infra.context import ROOT

FUNCTIONS = ROOT / "functions"
REQUIREMENTS = ROOT / "requirements.txt"
DEPENDENCIES = ROOT / ".dependencies"  # archived with their bytecode, for each platform: 40 MB that seldom change
ARCHIVE = "functions.zip"  # alone in the asset's folder it is the asset: the CDK archives nothing more
PYTHON_VERSION = (3, 13)
RUNTIME = lambda_.Runtime.PYTHON_3_13
# The last glibc of which every wheel here has a build, and older than the one of Lambda's Amazon Linux 2023.
PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
# Found by its imports alone; commands, their records and installers' notes only change the asset's bytes.
UNUSED = ("bin", ".lock", "*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED", "**/__pycache__")


class BundlingError(Exception):
    """The asset could not be built; the message says what to do."""


def code_asset(*, architecture: lambda_.Architecture, providers_file: Path) -> lambda_.AssetCode:
    """Give all functions' code, named by what goes into it, so that an unchanged asset is built once."""
    return lambda_.Code.from_asset(
        str(FUNCTIONS),
        asset_hash_type=cdk.AssetHashType.CUSTOM,
        asset_hash=asset_hash(architecture=architecture, providers_file=providers_file),
        bundling=cdk.BundlingOptions(
            image=RUNTIME.bundling_image,  # the interface asks for one; it is never used
            local=LocalBundling(architecture=architecture, providers_file=providers_file),
        ),
    )


def asset_hash(*, architecture: lambda_.Architecture, providers_file: Path) -> str:
    digest = hashlib.sha256(architecture.name.encode())
    for name, path in sorted(_inputs(providers_file)):
        digest.update(f"\0{name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _inputs(providers_file: Path) -> Iterator[tuple[str, Path]]:
    yield "bundling", Path(__file__)
    yield "requirements", REQUIREMENTS
    yield "providers", providers_file
    for path in FUNCTIONS.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(FUNCTIONS).as_posix(), path


@jsii.implements(cdk.ILocalBundling)
class LocalBundling:
    def __init__(self, *, architecture: lambda_.Architecture, providers_file: Path) -> None:
        self._architecture = architecture.name
        self._providers_file = providers_file

    def try_bundle(self, output_dir: str, *_args: object, **_options: object) -> bool:
        build(Path(output_dir, ARCHIVE), architecture=self._architecture, providers_file=self._providers_file)
        return True


def build(archive: Path, *, architecture: str, providers_file: Path, dependencies: Path = DEPENDENCIES) -> None:
    """Write the archive of what lies in /var/task. The folder `dependencies` keeps those that were archived before.

    Raises:
        BundlingError: The interpreter, uv or a dependency is not there.
    """
    if sys.version_info[:2] != PYTHON_VERSION:
        raise BundlingError(
            f"bytecode for Lambda needs Python {PYTHON_VERSION}, not {sys.version_info[:2]}: `make setup`"
        )
    with _alone(dependencies):
        shutil.copyfile(_archived(dependencies, PLATFORMS[architecture]), archive)
    with TemporaryDirectory() as folder:
        ours = Path(folder, "ours")
        shutil.copytree(FUNCTIONS, ours, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(providers_file, ours / "providers.toml")
        _compile(ours)
        _add(ours, archive)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: two deployments at once install once."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _archived(folder: Path, platform: str) -> Path:
    """The archive of the dependencies, compiled. It is made when something changed that they come from."""
    sources = (Path(__file__), REQUIREMENTS)
    digest = hashlib.sha256(b"\0".join([sys.version.encode(), *(path.read_bytes() for path in sources)]))
    made = folder / platform / f"{digest.hexdigest()}.zip"
    if not made.exists():
        shutil.rmtree(made.parent, ignore_errors=True)  # older ones, and what was left when one was interrupted
        installed, new = made.parent / "installed", made.with_suffix(".new")
        _install(installed, platform=platform)
        for pattern in UNUSED:
            for path in list(installed.glob(pattern)):
                _remove(path)
        _compile(installed)
        _add(installed, new)
        shutil.rmtree(installed)
        new.rename(made)
    return made


def _add(folder: Path, archive: Path) -> None:
    """Add a folder's files, so that the same files give the same bytes: with no dates, and modes that let all read.

    Lambda runs the code as a user that does not own it, and whoever builds it may keep new files to themselves.
    """
    with ZipFile(archive, "a", ZIP_DEFLATED) as made:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = ZipInfo(path.relative_to(folder).as_posix())  # dated 1980, a ZIP's beginning
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, (stat.S_IFREG | 0o755) << 16
            made.writestr(entry, path.read_bytes())


def _install(target: Path, *, platform: str) -> None:
    command = [
        _uv(),
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--require-hashes",
        "--requirements",
        str(REQUIREMENTS),
    ]
    command += ["--target", str(target), "--python", sys.executable, "--only-binary", ":all:", "--link-mode", "copy"]
    command += ["--python-platform", platform, "--python-version", ".".join(map(str, PYTHON_VERSION))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - the project's own uv
    if done.returncode != 0:
        raise BundlingError(f"uv could not install the functions' dependencies for {platform}:\n{done.stderr}")


def _uv() -> str:
    found = shutil.which("uv", path=os.pathsep.join([str(ROOT / ".uv" / "bin"), os.environ.get("PATH", "")]))
    if found is None:
        raise BundlingError("uv was not found: `make setup` installs it")
    return found


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _compile(target: Path) -> None:
    """Write bytecode that is never checked against its source: /var/task, where it goes, does not change."""
    # In a process of its own: compileall's workers would each run the CDK app again.
    command = [sys.executable, "-m", "compileall", "-qq", "-j", "0", "-s", str(target), "-p", "/var/task"]
    command += ["--invalidation-mode", "unchecked-hash", str(target)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - this Python
    if done.returncode != 0:
        raise BundlingError(f"the functions' code does not compile:\n{done.stdout}{done.stderr}")
