"""`setup`: looks, asks and runs what `setting_up` decides."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import boto3
import msgspec
from batchdrop.providers.config import load_providers
from botocore.exceptions import ClientError
from cyclopts import Parameter

import local_cloud
from batchdrop_cli import drop, local
from batchdrop_cli.cloud import DEFAULT_STACK, Cloud, Target, find_cloud
from batchdrop_cli.credentials import describe_missing
from batchdrop_cli.exit_codes import FAILED, OK, WRONG_USE
from batchdrop_cli.file_commands import wait_and_report
from batchdrop_cli.keys import check_key, checked, read_key, set_key, stored_keys
from batchdrop_cli.say import asked, note, say
from batchdrop_cli.setting_up import Facts, Kind, Over, Step, is_there, set_up
from batchdrop_cli.state_dir import find_state_dir, own_state_dir, remember_state_dir
from batchdrop_cli.user_errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
_CDK = PROJECT / "node_modules" / ".bin" / "cdk"
_BOOTSTRAP_STACK = "CDKToolkit"
# A cheap model of each provider that the project configures, and the variable that vendors' own tools read.
_MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
_KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
_LINE_KEY = "input/setup/one-line.jsonl"

Run = Callable[[Sequence[str]], int]
"""Runs a program in the project's folder; its exit code."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The options' answers: `yes` to every step but keys, and which keys come from the environment."""

    yes: bool = False
    send: bool | None = None
    keys_from_environment: bool = False
    deploys_with: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def run_program(words: Sequence[str]) -> int:
    return subprocess.run(words, cwd=PROJECT, check=False).returncode  # noqa: S603 - the project's own make


def setup(  # noqa: PLR0913 - options of the command line
    *,
    here: Annotated[bool, Parameter(name="--local", negative="", help="On this machine, simulated and free.")] = False,
    aws: Annotated[
        bool, Parameter(negative="", help="On AWS, with the credentials and region of the environment.")
    ] = False,
    yes: Annotated[
        bool, Parameter(negative="", help="Take every step without asking; keys and a paid line excepted.")
    ] = False,
    send: Annotated[
        bool | None, Parameter(help="Send one line at the end, or do not; if left out, it is asked.")
    ] = None,
    keys_from_env: Annotated[
        bool, Parameter(negative="", help="Store the keys of OPENAI_API_KEY and ANTHROPIC_API_KEY.")
    ] = False,
    context: Annotated[
        list[str] | None,
        Parameter(
            name=["-c", "--context"],
            metavar="NAME=VALUE...",
            negative="",
            help="A setting of the deployment, as alarm_email=me@example.org.",
        ),
    ] = None,
) -> int:
    answers = Answers(yes=yes, send=send, keys_from_environment=keys_from_env, deploys_with=tuple(context or ()))
    is_local = _is_local(here=here, aws=aws)
    over = set_up(LocalBorder(answers) if is_local else AwsBorder(answers))
    return _say_over(over, is_local=is_local)


def _is_local(*, here: bool, aws: bool) -> bool:
    if here and aws:
        raise UserError("--local and --aws exclude each other.", code=WRONG_USE)
    if here or aws:
        return here
    if not sys.stdin.isatty():
        raise UserError("Say where: batchdrop setup --local, or batchdrop setup --aws", code=WRONG_USE)
    say("Where should batchdrop run?")
    say("  1  on this machine: simulated providers, no account, nothing to pay")
    say("  2  on AWS: real answers, with your account and your keys")
    answer = asked("1 or 2 [1]")
    if answer not in {"", "1", "2"}:
        raise UserError("Nothing was changed.")
    return answer != "2"


def _say_over(over: Over, *, is_local: bool) -> int:
    option = "" if is_local else " --aws"
    if over.problem is not None:
        note(over.problem, style="red")
        return FAILED
    say("batchdrop is set up. What next:")
    say(f"  batchdrop run examples/reviews_and_rights.jsonl{option}")
    say(f"  batchdrop doctor{option}")
    return OK


@dataclass(kw_only=True)
class _Asking:
    """Asks before a step, unless the options have answered."""

    answers: Answers
    is_local: bool

    def agrees(self, step: Step) -> bool:
        said = self._given_answer(step)
        if said is None and sys.stdin.isatty():
            said = asked(f"{step.question} [Y/n]") in {"", "y", "yes"}
        note(f"{step.name}: {'yes' if said else 'left out'}")
        return bool(said)

    def _given_answer(self, step: Step) -> bool | None:
        """Return the options' answer; None where somebody has to be asked."""
        if step.kind is Kind.SEND:
            return self.answers.send if self.answers.send is not None or not self.is_local else self.answers.yes or None
        if step.kind is Kind.KEY:
            return True if self.answers.keys_from_environment else None
        return self.answers.yes or None


class LocalBorder:
    """The cloud on this machine."""

    def __init__(self, answers: Answers, bring_up: Callable[[Path], Any] = local.up) -> None:
        self._asking, self._bring_up = _Asking(answers=answers, is_local=True), bring_up
        self._folder = find_state_dir(None)
        self.agrees = self._asking.agrees

    def look(self) -> Facts:
        found = local_cloud.current(self._folder)
        sender = None if found is None else next((_MODELS[name] for name in found.providers if name in _MODELS), None)
        return Facts(is_local=True, place=str(self._folder), stack=None if found is None else "up", sender=sender)

    def take(self, step: Step) -> bool:
        if step.kind is Kind.SEND:
            return send_line(find_cloud(Target()), step) == OK
        own_state_dir(self._folder)
        self._bring_up(self._folder)
        remember_state_dir(self._folder)
        return True


class AwsBorder:
    """The stack on AWS, by the credentials and the region of the environment."""

    def __init__(self, answers: Answers, run: Run = run_program) -> None:
        self._asking, self._run, self._answers = _Asking(answers=answers, is_local=False), run, answers
        self.agrees = self._asking.agrees

    def look(self) -> Facts:
        facts = Facts(is_local=False, is_clone=(PROJECT / "Makefile").is_file(), has_tools=_CDK.exists())
        session = boto3.Session()
        problem, place = describe_missing(session)
        if problem is not None:
            return msgspec.structs.replace(facts, problem=problem)
        stack = _stack(session, DEFAULT_STACK)
        known = msgspec.structs.replace(
            facts,
            place=place,
            is_bootstrapped=_stack(session, _BOOTSTRAP_STACK) is not None,
            stack=None if stack is None else stack["StackStatus"],
            version=None if stack is None else _version(stack),
            is_configured=bool(self._answers.deploys_with),
        )
        return self._with_keys(known) if is_there(known.stack) else known

    def _with_keys(self, facts: Facts) -> Facts:
        cloud = find_cloud(Target(aws=True))
        stored = stored_keys(cloud, load_providers(cloud.providers_file))
        senders = [_MODELS[each.provider] for each in stored if each.set_at and each.provider in _MODELS]
        unset = tuple(each.provider for each in stored if each.set_at is None)
        return msgspec.structs.replace(facts, unset_keys=unset, sender=next(iter(senders), None))

    def take(self, step: Step) -> bool:
        match step.kind:
            case Kind.TOOLS:
                return self._run(["make", "setup"]) == 0
            case Kind.BOOTSTRAP:
                return self._run(["make", "bootstrap"]) == 0
            case Kind.DEPLOY:
                return self._run(["make", "deploy", f"ARGS={self._deploy_options()}"]) == 0
            case Kind.KEY:
                return self._store_key(str(step.whom))
            case _:
                return send_line(find_cloud(Target(aws=True)), step) == OK

    def _deploy_options(self) -> str:
        given = [word for each in self._answers.deploys_with for word in ("-c", each)]
        words = [*given, *(("--require-approval", "never") if self._answers.yes else ())]
        return shlex.join(words).replace("$", "$$")  # which make would take for a variable

    def _store_key(self, provider: str) -> bool:
        cloud = find_cloud(Target(aws=True))
        config = load_providers(cloud.providers_file)[provider]
        key = self._answers.environment.get(_KEY_VARIABLES.get(provider, ""))
        if self._answers.keys_from_environment and not key:
            note(f"No key for {provider} in the environment. Set it with: batchdrop keys set {provider} --aws")
            return True
        key = checked(key) if self._answers.keys_from_environment and key else read_key(provider)
        check_key(provider, config, key)
        set_key(cloud, config.secret, key)
        return True


def _stack(session: boto3.Session, name: str) -> Any | None:  # noqa: ANN401 - boto3's own
    try:
        return session.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return None


def _version(stack: Any) -> str | None:  # noqa: ANN401 - boto3's own
    return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}.get("Version")


def send_line(cloud: Cloud, step: Step) -> int:
    """Send one line, and wait for its answer."""
    message = {"role": "user", "content": "Say yes."}
    with TemporaryDirectory(prefix="batchdrop-") as folder:
        path = Path(folder) / "one-line.jsonl"
        path.write_bytes(msgspec.json.encode({"model": step.whom, "max_tokens": 5, "messages": [message]}) + b"\n")
        job = drop.drop_file(cloud, path, _LINE_KEY, again=True)
    return wait_and_report(cloud, job)
