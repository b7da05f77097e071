"""AWS on this machine: the emulator, in a virtual environment, an environment and folders of its own."""

import os
import shutil
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import processes
from local_cloud.aws import client
from local_cloud.environment import network, plain
from local_cloud.errors import LocalCloudError
from local_cloud.machine import need_port
from local_cloud.state import HOST, REGION, Folder, Process, Saved

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".emulator" / "bin" / "python"
PROGRAM = ROOT / "local_cloud" / "emulator_process.py"
START_SECONDS = 300.0  # on a machine with much else to do; one that ends is known at once
# A worker loads an SDK for a second or two: more of them than processors make the first file slower, not faster.
CONCURRENCY = min(max(os.process_cpu_count() or 2, 2), 8)  # of a function; 2 is the least that SQS takes
LOOK_EVERY_SECONDS = 0.05


def start(folder: Folder, saved: Saved) -> Process:
    """Start the emulator and wait until it answers.

    Raises:
        LocalCloudError: It is not installed, it ended, or its port is taken.
    """
    if not PYTHON.exists():
        raise LocalCloudError("The emulator is not installed: run `make setup`.")
    need_port(saved.endpoint_port)
    shutil.rmtree(folder.tmp, ignore_errors=True)
    folder.make()
    log = folder.logs / "emulator.log"
    return processes.start_ready(
        [str(PYTHON), "-P", str(PROGRAM), str(folder.function_logs), str(folder.code), str(CONCURRENCY)],
        environment=_environment(folder, saved),
        log=log,
        wait=lambda process: _wait(process, saved, log),
    )


def _environment(folder: Folder, saved: Saved) -> dict[str, str]:
    """All of it reaches the functions, so it holds nothing of ours."""
    return plain(folder, PYTHON.parent) | {
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": saved.account,
        "GATEWAY_PORT": str(saved.endpoint_port),
        "AWS_SECRET_ACCESS_KEY": saved.secret_access_key,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder.emulator_state),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder.objects),
        "LOG_LEVEL": "WARNING",
        # Services that would listen on ports of their own, and Docker, which is neither needed nor touched.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder.tmp}/no-docker.sock",
        **(network() if saved.options.reaches_out else {}),
        **({"AUTH": "true"} if saved.options.enforces_grants else {}),
        **({"AWS_ENDPOINT_URL": saved.options.functions_endpoint} if saved.options.functions_endpoint else {}),
    }


def _wait(process: Process, saved: Saved, log: Path) -> None:
    asked = client("sts", saved)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not processes.is_running(process):
            raise LocalCloudError(f"The emulator ended as it was started: see {log}")
        try:
            asked.get_caller_identity()
        except (BotoCoreError, ClientError):
            time.sleep(LOOK_EVERY_SECONDS)
        else:
            return
    raise LocalCloudError(f"The emulator did not answer within {START_SECONDS:.0f} s: see {log}")
