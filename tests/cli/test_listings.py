"""Each listing's JSON fits the schema that is published for it, and every listing has one."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec
import pytest
from batchdrop.manifest import Files
from batchdrop.records import Batch, Job
from batchdrop.states import JobState
from faking.outputs import a_manifest
from faking.parts import GROUP, Parts, stack_with_parts
from faking.readme import ROOT

from batchdrop_cli.commands import COMMANDS
from batchdrop_cli.operating import COMMANDS as OPERATING

if TYPE_CHECKING:
    from conftest import Aws, Run

SCHEMAS = ROOT / "docs/schemas"
NO_LISTING = {"local up"}  # what it prints is for programs that use the cloud, and holds its key


def schema_of(command: str) -> Any:
    name = "quote" if command == "quote" else f"command-{command.replace(' ', '-')}"
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def parts(
    aws: "Aws", a_job: Callable[..., Job], a_batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Parts]:
    """A stack with a job that is held, a failed one, a dead letter, a log line and one key."""
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="sk-0123456789")
    manifest = a_manifest("over", Files(results=[], errors=None, failed=None))
    aws.drop("output/m.json", msgspec.json.encode(manifest))
    over = f"{a_job().id[:-1]}0"
    aws.store.add(a_job(job=over, state=JobState.COMPLETED, manifest_key="output/m.json", due_at=None))
    aws.store.add(a_job(state=JobState.HELD, reason="It may cost $20.", dropped_at=int(time.time()) - 60))
    aws.store.add(a_batch())
    with stack_with_parts(monkeypatch) as found:
        found.sqs.send_message(QueueUrl=found.dead_letters, MessageBody='{"job":"j","split":1}')
        line = {"correlation_id": a_job().id, "message": "m", "service": "plan", "level": "INFO", "batch": 1}
        event = {"timestamp": int(time.time() * 1_000), "message": json.dumps(line)}
        found.logs.put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=[event])
        yield found


@pytest.mark.parametrize(
    "command",
    ["jobs", "show", "costs", "providers", "logs", "doctor", "redrive", "keys list", "keys check", "local status"],
)
@pytest.mark.usefixtures("parts")
def test_what_is_printed_fits_its_schema(run: "Run", a_job: Callable[..., Job], command: str) -> None:
    job = [a_job().id] if command in {"show", "logs"} else []
    yes = ["--yes"] if command == "redrive" else []
    one = ["openai", "--providers-file", _silent()] if command == "keys check" else []
    printed = json.loads(run(*command.split(), *job, *one, *yes, "--json").out)
    assert printed
    errors = jsonschema_rs.validator_for(schema_of(command)).iter_errors(printed)
    assert [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in errors] == []


def _silent() -> str:
    """Providers that do not answer."""
    path = Path("silent.toml")
    path.write_text(
        '[providers.openai]\nprotocol = "openai"\nbase_url = "http://127.0.0.1:1/v1"\nmodels = ["gpt-*"]\n'
        'secret = "batchdrop/openai"\n',
        encoding="utf-8",
    )
    return str(path)


def test_every_command_with_json_has_a_schema(run: "Run") -> None:
    with_json = [
        name
        for name in (*COMMANDS, *OPERATING)
        if re.search(r"^│ +--json ", run(*name.split(), "--help", width=100).out, re.MULTILINE)
    ]
    assert len(with_json) > 9
    for command in set(with_json) - NO_LISTING:
        assert schema_of(command)["$id"].endswith(":1")
