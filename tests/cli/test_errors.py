import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batchdrop.errors import ConfigError, Transient
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ProfileNotFound
from cyclopts import App

from batchdrop_cli.application import app
from batchdrop_cli.cloud import Target
from batchdrop_cli.say import note, say
from batchdrop_cli.state_dir import own_state_dir
from batchdrop_cli.user_errors import UserError, sentence
from local_cloud.state import Folder, Saved

if TYPE_CHECKING:
    from conftest import Aws, Run


NO_CREDENTIALS = (
    "There are no usable AWS credentials. Log in to AWS (aws configure, aws sso login) and set AWS_PROFILE - "
    "or work on this machine: batchdrop local up, without --aws, --stack and --region."
)
NO_PROFILE = "AWS could not be used: The config profile (mine) could not be found."
NO_STACK = (
    'There is no stack "other" in eu-central-1. Deploy it (make deploy), or name yours with --stack and --region; '
    "for a cloud on this machine: batchdrop local up\n"
)


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "secret detail"}}, "HeadObject")


def failed_upload() -> S3UploadFailedError:
    error = S3UploadFailedError("Failed to upload a prompt")
    error.__cause__ = client_error("NoSuchBucket")
    return error


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (UserError("Do this.", code=2), "Do this.", 2),
        (ConfigError("providers.toml: no"), "providers.toml: no", 1),
        (Transient("cut"), "cut", 1),
        (FileNotFoundError(2, "No such file", "a.jsonl"), "a.jsonl does not exist.", 2),
        (
            client_error("AccessDenied"),
            "AWS refused access. The credentials need more permissions (HeadObject).",
            1,
        ),
        (
            client_error("ExpiredToken"),
            "The AWS credentials have expired. Log in again (aws sso login), then repeat the command.",
            1,
        ),
        (
            client_error("SlowDown"),
            "AWS answered SlowDown to HeadObject. Repeat the command in a moment.",
            1,
        ),
        (
            failed_upload(),
            "The bucket is gone. Deploy again (make deploy, or batchdrop local up), then repeat the command.",
            1,
        ),
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
            "AWS (or the local cloud) does not answer. Check the network, or start it with: batchdrop local up",
            1,
        ),
        (
            NoCredentialsError(),
            NO_CREDENTIALS,
            1,
        ),
        (
            ProfileNotFound(profile="mine"),
            NO_PROFILE,
            1,
        ),
        (
            KeyError("a prompt"),
            "The command itself failed: KeyError. Please report it with this line.",
            1,
        ),
    ],
)
def test_every_error_is_one_sentence_with_its_exit_code(error: Exception, said: str, code: int) -> None:
    assert sentence(error) == (said, code)


def test_an_error_of_ours_tells_its_place_and_nothing_of_its_content(
    aws: "Aws", run: "Run", a_job: Callable[..., object]
) -> None:
    aws.store.add(a_job(state="COMPLETED", manifest_key="output/m.json"))
    aws.drop("output/m.json", b'{"a prompt"')
    code, out, err = run("show", "latest")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("The command itself failed: DecodeError (jobs.py, line ")
    assert "a prompt" not in err


NO_STDIN = "Standard input is not read: name a file."
NO_ID = 'JOB must be a job\'s id, as "batchdrop jobs" lists them, or "latest", not'


@pytest.mark.parametrize(
    ("arguments", "said", "command"),
    [
        ("put", "FILE is missing.", "put"),
        ("cancel", "JOB is missing.", "cancel"),
        ("keys set", "PROVIDER is missing.", "keys set"),
        ("put a b", "Too many arguments: b.", "put"),
        ("validate a b c", "Too many arguments: b, c.", "validate"),
        ("retry a b c d e f", "Too many arguments: c, d, e, ….", "retry"),
        ("validate --zzz a", "Unknown option: --zzz.", "validate"),
        ("put a --key", "--key needs a value.", "put"),
        ("run -", NO_STDIN, "run"),
        ("validate -", NO_STDIN, "validate"),
        ("jobs --days many", "--days must be a whole number, not many.", "jobs"),
        ("jobs --days -3", "--days must be from 1 to 3,650, not -3.", "jobs"),
        ("jobs --days 99999999999", "--days must be from 1 to 3,650, not 99999999999.", "jobs"),
        ("console --port 65536", "--port must be from 0 to 65,535, not 65536.", "console"),
        ("jobs --limit 0", "--limit must be from 1 to 100,000, not 0.", "jobs"),
        ("jobs --limit -1", "--limit must be from 1 to 100,000, not -1.", "jobs"),
        ("put a.csv --max-tokens 0", "--max-tokens must be from 1 to 1,000,000,000, not 0.", "put"),
        ("run a.csv --temperature 3", "--temperature must be from 0 to 2, not 3.0.", "run"),
        ("template a.csv --row 0", "--row must be from 1 to 1,000,000,000,000, not 0.", "template"),
        *((f"{each} ''", f"{NO_ID} empty.", each) for each in ("show", "wait", "cancel", "results", "retry")),
        (f"show {'x' * 3_000}", f"{NO_ID} {'x' * 60}….", "show"),
    ],
)
def test_wrong_use_is_one_sentence_that_names_the_help_of_its_command(
    run: "Run", arguments: str, said: str, command: str
) -> None:
    assert run(*shlex.split(arguments)) == (2, "", f"{said} See: batchdrop {command} --help\n")


@pytest.mark.parametrize("arguments", [("nope",), ("retry", "latest", "--finish", "x"), ("keys", "nope")])
def test_wrong_use_of_any_kind_is_one_line_and_exit_code_2(run: "Run", arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(" --help\n")


def numbers_of(group: App) -> Iterator[tuple[str, str]]:
    for command in group.subapps:
        if command.default_command is not None and not command.name[0].endswith("-print"):  # --help and --version
            for argument in command.assemble_argument_collection():
                if argument.hint in {int, float}:
                    yield command.name[0], argument.name


def test_the_numbers_among_the_options_are_those_whose_ranges_are_tested() -> None:
    found = [each for group in (app, app["local"], app["keys"]) for each in numbers_of(group)]
    rows = {"--max-tokens", "--temperature"}
    assert sorted(each for each in found if each[1] not in rows) == [
        ("console", "--port"),
        ("jobs", "--days"),
        ("jobs", "--limit"),
        ("template", "--row"),
    ]


@pytest.mark.usefixtures("aws")
def test_a_stack_that_is_not_there_is_said_with_what_to_do(run: "Run") -> None:
    assert run("jobs", "--stack", "other") == (
        1,
        "",
        NO_STACK,
    )


def test_without_a_region_it_is_asked_for(run: "Run", aws: "Aws", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    code, _, err = run("jobs")
    assert code == 1
    assert err.startswith(
        "No AWS region is set. Name the region of your stack with --region or AWS_REGION - or work on this machine"
    )
    assert run("jobs", "--region", "eu-central-1").code == 0
    assert aws.keys() == []


def a_local_cloud_that_is_down(folder: Path) -> None:
    own_state_dir(folder)
    state = Folder(folder)
    state.make()
    state.write(Saved.new())


@pytest.mark.parametrize("exists", [True, False])
def test_a_local_cloud_that_is_named_and_not_up_is_never_aws(
    run: "Run", aws: "Aws", tmp_path: Path, *, exists: bool
) -> None:
    if exists:
        a_local_cloud_that_is_down(tmp_path / "my cloud")
    said = (
        "The local cloud of my cloud is not up. Start it with: batchdrop local up --state-dir 'my cloud' - or use the "
        "stack on AWS with --aws\n"
    )
    assert run("jobs", "--state-dir", "my cloud") == (1, "", said)
    assert aws.keys() == []


def test_where_a_local_cloud_is_down_aws_is_taken_only_if_it_is_asked_for(
    run: "Run", aws: "Aws", tmp_path: Path
) -> None:
    a_local_cloud_that_is_down(tmp_path / ".local")
    said = (
        "The local cloud of .local is not up. Start it with: batchdrop local up - or use the stack on AWS with --aws\n"
    )
    assert run("jobs") == (1, "", said)
    assert run("jobs", "--aws").code == 0
    assert aws.keys() == []


@pytest.mark.parametrize(
    ("where", "options"),
    [
        (Target(), ""),
        (Target(state_dir=Path(".local")), ""),
        (Target(state_dir=Path("my cloud")), " --state-dir 'my cloud'"),
        (Target(aws=True), " --aws"),
        (Target(aws=True, stack="mine", region="eu-west-1"), " --stack mine --region eu-west-1"),
    ],
)
def test_a_command_that_is_told_finds_the_same_cloud(where: Target, options: str) -> None:
    assert where.options == options


def test_a_hint_repeats_where_its_cloud_is(run: "Run", aws: "Aws", tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    code, out, err = run("put", "a.jsonl", "--region", "eu-central-1")
    assert code == 0
    assert f"See its progress with: batchdrop show {out.strip()} --region eu-central-1\n" in err
    _, _, err = run("show", "nope", "--region", "eu-central-1")
    assert err == "There is no job nope. See: batchdrop jobs --region eu-central-1\n"
    assert aws.keys() == ["input/a.jsonl"]


COMMANDS = [
    *(("local", "up"), ("local", "down"), ("keys", "set"), ("keys", "list"), ("validate",)),
    *(
        ("put",),
        ("run",),
        ("jobs",),
        ("show",),
    ),
    *(("results",), ("wait",), ("retry",), ("cancel",), ("providers",), ("demo",), ("smoke-paid",)),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run: "Run", command: tuple[str, ...]) -> None:
    code, out, err = run(*command, "--help")
    assert (code, err) == (0, "")
    assert f"Example: batchdrop {' '.join(command)}" in " ".join(out.split())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("shwo", 'There is no command "shwo". Did you mean "show"? All commands: batchdrop --help'),
        ("up", 'There is no command "up". Did you mean "local up"? All commands: batchdrop --help'),
        ("local upp", 'There is no command "local upp". Did you mean "local up"? All commands: batchdrop local --help'),
        ("keys zzz", 'There is no command "keys zzz". All commands: batchdrop keys --help'),
        ("--versoin", 'There is no option "--versoin". Did you mean "--version"? All commands: batchdrop --help'),
        (
            "a.jsonl",
            'There is no command "a.jsonl". To drop a file: batchdrop run a.jsonl. All commands: batchdrop --help',
        ),
    ],
)
def test_an_unknown_command_names_the_nearest(
    run: "Run", monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").touch()
    assert run(*typed.split()) == (2, "", f"{said}\n")


def test_a_reader_that_has_gone_does_not_end_the_command() -> None:
    """As `batchdrop … | head -1` has it."""
    code = "from batchdrop_cli.say import say; [say('x' * 9_999) for _ in range(99)]; raise SystemExit(3)"
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (3, b"")


def test_an_answer_is_whole_where_the_reader_of_notes_has_gone(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `job=$(batchdrop put … 2> >(head -1))` has it."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        note("Dropped.")
        say("the id")
    assert capfd.readouterr().out == "the id\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_nobody_reads_is_done(option: str) -> None:
    code = "import sys; from batchdrop_cli.main import main; sys.exit(main(sys.argv[1:]))"
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([sys.executable, "-c", code, option], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (0, b"")
