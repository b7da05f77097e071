"""`setup`: each step is decided by what there is, asked about, taken once, and looked at again."""

import io
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import msgspec
import pytest
from batchdrop import __version__
from faking.stacks import a_stack

from batchdrop_cli.setting_up import Facts, Kind, Over, Step, next_step, set_up
from batchdrop_cli.setup_command import Answers, AwsBorder
from batchdrop_cli.user_errors import UserError

if TYPE_CHECKING:
    from conftest import Aws, Run

READY = Facts(is_local=False, place="AWS account 1, region eu-central-1", stack="UPDATE_COMPLETE", sender="gpt-4o-mini")
BARE = msgspec.structs.replace(
    READY,
    has_tools=False,
    is_bootstrapped=False,
    stack=None,
    version=None,
    unset_keys=("openai", "anthropic"),
    sender=None,
)


@dataclass
class FakeBorder:
    """A world that each step changes as it should; some are declined, some fail."""

    facts: Facts
    declined: frozenset[str] = frozenset()
    fails: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def look(self) -> Facts:
        return self.facts

    def agrees(self, step: Step) -> bool:
        self.asked.append(step.name)
        return step.name not in self.declined

    def take(self, step: Step) -> bool:
        self.taken.append(step.name)
        if step.name in self.fails:
            return False
        self.facts = after(self.facts, step)
        return True


def after(facts: Facts, step: Step) -> Facts:
    match step.kind:
        case Kind.TOOLS:
            return msgspec.structs.replace(facts, has_tools=True)
        case Kind.BOOTSTRAP:
            return msgspec.structs.replace(facts, is_bootstrapped=True)
        case Kind.DEPLOY | Kind.LOCAL_UP:
            return msgspec.structs.replace(facts, stack="CREATE_COMPLETE", version=__version__, sender=sender(facts))
        case Kind.KEY:
            unset = tuple(name for name in facts.unset_keys if name != step.whom)
            return msgspec.structs.replace(facts, unset_keys=unset, sender="gpt-4o-mini")
        case _:
            return facts


def sender(facts: Facts) -> str | None:
    return "gpt-4o-mini" if facts.is_local else facts.sender


def test_a_bare_account_is_taken_through_every_step() -> None:
    border = FakeBorder(msgspec.structs.replace(BARE, is_configured=True))
    assert set_up(border) == Over()
    assert border.taken == ["tools", "bootstrap", "deploy", "key openai", "key anthropic", "send gpt-4o-mini"]


def test_a_local_cloud_is_brought_up_and_tried() -> None:
    border = FakeBorder(Facts(is_local=True))
    assert set_up(border) == Over()
    assert border.taken == ["local up", "send gpt-4o-mini"]


def test_where_all_is_there_only_the_line_is_left() -> None:
    border = FakeBorder(READY, declined=frozenset({"send gpt-4o-mini"}))
    assert (set_up(border), border.taken) == (Over(), [])


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"])
def test_a_first_deployment_that_failed_is_repeated(status: str) -> None:
    border = FakeBorder(msgspec.structs.replace(READY, stack=status, version=None, is_configured=True))
    step = next_step(border.look(), frozenset())
    asked = "Deploy batchdrop 0.1.0 to AWS account 1, region eu-central-1? Its first deployment failed "
    assert step == Step(Kind.DEPLOY, f"{asked}({status}), and is replaced.")


STATES = [
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "CREATE_IN_PROGRESS",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "DELETE_IN_PROGRESS",
    "CREATE_FAILED",
    "UPDATE_FAILED",
    "UPDATE_ROLLBACK_FAILED",
    "DELETE_FAILED",
]


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("version", [None, "0.0.1", "9.9.9", __version__])
@pytest.mark.parametrize("is_configured", [False, True])
def test_no_stack_that_is_there_is_deployed_over(status: str, version: str | None, *, is_configured: bool) -> None:
    facts = msgspec.structs.replace(
        READY, stack=status, version=version, is_configured=is_configured, has_tools=False, unset_keys=("openai",)
    )
    border = FakeBorder(facts)
    over = set_up(border)
    is_used = status.endswith("_COMPLETE")
    assert border.taken == (["key openai", "send gpt-4o-mini"] if is_used else [])
    assert (over.problem is None) is (is_used and version == __version__ and not is_configured)


def test_what_is_left_to_be_done_by_hand_is_said() -> None:
    upgrade = 'make deploy ARGS="-c …" (docs/operations.md)'
    old, given, at_work, broken = (
        set_up(FakeBorder(msgspec.structs.replace(READY, **changes))).problem
        for changes in (
            {"version": "0.0.1"},
            {"is_configured": True},
            {"stack": "UPDATE_IN_PROGRESS"},
            {"stack": "UPDATE_ROLLBACK_FAILED"},
        )
    )
    assert old == (
        "The stack runs 0.0.1, this command is 0.1.0. setup deploys over no stack. To upgrade an older one, with all "
        f"of its -c settings: {upgrade}"
    )
    assert given == (
        f"setup deploys over no stack: -c changed nothing. To change its settings, give all of them: {upgrade}"
    )
    assert at_work == "The stack is UPDATE_IN_PROGRESS: wait until it is done, then repeat: batchdrop setup --aws"
    assert broken == (
        "The stack is UPDATE_ROLLBACK_FAILED: look at its events in CloudFormation, repair it, then: " + upgrade
    )


def test_without_credentials_nothing_is_asked() -> None:
    border = FakeBorder(msgspec.structs.replace(BARE, problem="There are no AWS credentials."))
    assert (set_up(border), border.asked) == (Over("There are no AWS credentials."), [])


def test_what_is_installed_without_the_project_does_not_deploy_and_still_sets_keys() -> None:
    bare = msgspec.structs.replace(BARE, is_clone=False)
    assert "not installed from a clone" in str(set_up(FakeBorder(bare)))
    border = FakeBorder(msgspec.structs.replace(READY, is_clone=False, has_tools=False, unset_keys=("openai",)))
    assert (set_up(border), border.taken) == (Over(), ["key openai", "send gpt-4o-mini"])


NAMES = ["tools", "bootstrap", "deploy", "key openai", "key anthropic", "send gpt-4o-mini"]


@pytest.mark.parametrize("index", range(len(NAMES)))
@pytest.mark.parametrize("how", ["declined", "fails"])
def test_no_step_is_taken_after_one_that_it_needs_failed_or_was_declined(index: int, how: str) -> None:
    border = FakeBorder(BARE, **{how: frozenset({NAMES[index]})})
    over = set_up(border)
    is_needed = index < NAMES.index("key openai")
    assert (over.problem is not None) is (is_needed or how == "fails")
    if is_needed:
        assert border.asked == NAMES[: index + 1]


@pytest.mark.parametrize("bits", list(product([False, True], repeat=4)))
def test_from_wherever_it_begins_it_ends_and_takes_no_step_twice(bits: tuple[bool, ...]) -> None:
    has_tools, is_bootstrapped, is_deployed, has_keys = bits
    facts = msgspec.structs.replace(
        BARE,
        has_tools=has_tools,
        is_bootstrapped=is_bootstrapped,
        stack="UPDATE_COMPLETE" if is_deployed else None,
        version=__version__ if is_deployed else None,
        unset_keys=() if has_keys else ("openai",),
        sender="gpt-4o-mini" if has_keys else None,
    )
    border = FakeBorder(facts)
    assert set_up(border) == Over()
    assert len(set(border.taken)) == len(border.taken)
    assert ("deploy" in border.taken) is not is_deployed
    assert border.taken[-1] == "send gpt-4o-mini"


def test_aws_is_looked_at_and_make_deploys_with_what_was_given(aws: "Aws", monkeypatch: pytest.MonkeyPatch) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="sk-0123456789")
    ran: list[list[str]] = []

    def make(words: list[str]) -> int:
        ran.append(words)
        return 0

    with a_stack(bucket="batchdrop-test", table="batchdrop-jobs", version="0.0.1") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", address)
        border = AwsBorder(Answers(yes=True, send=False, deploys_with=("alarm_email=$me@example.org",)), run=make)
        found = border.look()
        border.take(Step(Kind.DEPLOY, ""))
        border.take(Step(Kind.BOOTSTRAP, ""))
    assert (found.stack, found.version, found.is_bootstrapped) == ("CREATE_COMPLETE", "0.0.1", False)
    assert (found.unset_keys, found.sender) == (("anthropic",), "gpt-4o-mini")
    assert ran == [
        ["make", "deploy", "ARGS=-c 'alarm_email=$$me@example.org' --require-approval never"],
        ["make", "bootstrap"],
    ]


@pytest.mark.usefixtures("aws")
def test_a_stack_without_outputs_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_stack(bucket="", table="", status="ROLLBACK_COMPLETE") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", address)
        monkeypatch.setattr("batchdrop_cli.setup_command.find_cloud", _has_no_outputs)
        found = AwsBorder(Answers()).look()
    assert (found.stack, found.sender) == ("ROLLBACK_COMPLETE", None)


def _has_no_outputs(_: object) -> None:
    raise UserError('The stack "batchdrop" has no output Bucket.')


class Closed(io.StringIO):
    """A terminal where Ctrl-D is typed at each question."""

    def isatty(self) -> bool:
        return True


def test_ctrl_d_leaves_each_step_out(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="sk-0123456789")
    monkeypatch.setattr("sys.stdin", Closed())
    ran = run("setup", "--aws")
    assert (ran.code, [line for line in ran.err.splitlines() if line]) == (
        0,
        ["key anthropic: left out", "send gpt-4o-mini: left out"],
    )
    assert run("setup")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say where: batchdrop setup --local, or batchdrop setup --aws\n"),
        (("--local", "--aws"), "--local and --aws exclude each other.\n"),
    ],
)
def test_where_nobody_can_be_asked_it_wants_to_be_told(
    run: "Run", monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run("setup", *arguments) == (2, "", said)


def test_what_nobody_answers_is_left_out(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="sk-0123456789")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    ran = run("setup", "--aws", "--yes")
    assert (ran.code, ran.err) == (0, "key anthropic: left out\nsend gpt-4o-mini: left out\n")
    assert ran.out == (
        "batchdrop is set up. What next:\n  batchdrop run examples/reviews_and_rights.jsonl --aws\n"
        "  batchdrop doctor --aws\n"
    )
    assert aws.keys() == []


def test_keys_come_from_the_environment_where_that_is_said(
    aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="sk-0123456789")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    ran = run("setup", "--aws", "--keys-from-env", "--no-send")
    assert "No key for anthropic in the environment. Set it with: batchdrop keys set anthropic --aws\n" in ran.err
    assert (ran.code, [each["Name"] for each in aws.secrets.list_secrets()["SecretList"]]) == (0, ["batchdrop/openai"])


@pytest.mark.parametrize("key", ["sk-0123 4567", "sk-0123\n4567", "sk-ключ"])
def test_a_key_of_the_environment_is_checked_as_one_that_is_typed(
    aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("OPENAI_API_KEY", key)
    ran = run("setup", "--aws", "--keys-from-env", "--no-send")
    assert (ran.code, "This is not a single key" in ran.err, key in ran.err) == (2, True, False)
    assert aws.secrets.list_secrets()["SecretList"] == []
