"""`setup`: each step is decided by what there is, asked about, taken once, and looked at again."""

import io
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import msgspec
import pytest
from faking.stacks import a_stack

from batchdrop_cli.setting_up import Facts, Kind, Over, Step, next_step, set_up
from batchdrop_cli.setup_command import Answers, AwsBorder

if TYPE_CHECKING:
    from conftest import Aws, Run

READY = Facts(is_local=False, place="AWS account 1, region eu-central-1", stack="UPDATE_COMPLETE", sender="gpt-4o-mini")
BARE = msgspec.structs.replace(
    READY,
    has_tools=False,
    is_bootstrapped=False,
    stack=None,
    is_current=False,
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
            return msgspec.structs.replace(facts, stack="CREATE_COMPLETE", is_current=True, sender=sender(facts))
        case Kind.KEY:
            unset = tuple(name for name in facts.unset_keys if name != step.whom)
            return msgspec.structs.replace(facts, unset_keys=unset, sender="gpt-4o-mini")
        case _:
            return facts


def sender(facts: Facts) -> str | None:
    return "gpt-4o-mini" if facts.is_local else facts.sender


def test_a_bare_account_is_taken_through_every_step() -> None:
    border = FakeBorder(BARE)
    assert set_up(border) == Over()
    assert border.taken == ["tools", "bootstrap", "deploy", "key openai", "key anthropic", "send gpt-4o-mini"]


def test_a_local_cloud_is_brought_up_and_tried() -> None:
    border = FakeBorder(Facts(is_local=True))
    assert set_up(border) == Over()
    assert border.taken == ["local up", "send gpt-4o-mini"]


def test_where_all_is_there_only_the_line_is_left() -> None:
    border = FakeBorder(READY, declined=frozenset({"send gpt-4o-mini"}))
    assert (set_up(border), border.taken) == (Over(), [])


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "CREATE_IN_PROGRESS"])
def test_a_stack_that_is_not_in_order_is_deployed_again(status: str) -> None:
    step = next_step(msgspec.structs.replace(READY, stack=status), frozenset())
    asked = f"Deploy batchdrop 0.1.0 to AWS account 1, region eu-central-1? The stack there is {status}."
    assert step == Step(Kind.DEPLOY, asked)


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


@pytest.mark.parametrize("bits", list(product([False, True], repeat=5)))
def test_from_wherever_it_begins_it_ends_and_takes_no_step_twice(bits: tuple[bool, ...]) -> None:
    has_tools, is_bootstrapped, is_deployed, is_current, has_keys = bits
    facts = msgspec.structs.replace(
        BARE,
        has_tools=has_tools,
        is_bootstrapped=is_bootstrapped,
        stack="UPDATE_COMPLETE" if is_deployed else None,
        is_current=is_current,
        unset_keys=() if has_keys else ("openai",),
        sender="gpt-4o-mini" if has_keys else None,
    )
    border = FakeBorder(facts)
    assert set_up(border) == Over()
    assert len(set(border.taken)) == len(border.taken)
    assert ("deploy" in border.taken) is not (is_deployed and is_current)
    assert border.taken[-1] == "send gpt-4o-mini"


def test_aws_is_looked_at_and_make_deploys_with_what_was_given(aws: "Aws", monkeypatch: pytest.MonkeyPatch) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="sk-0123456789")
    ran: list[list[str]] = []

    def make(words: list[str]) -> int:
        ran.append(words)
        return 0

    with a_stack(bucket="batchdrop-test", table="batchdrop-jobs", version="0.0.1") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", address)
        border = AwsBorder(Answers(yes=True, send=False, deploys_with=("alarm_email=me@example.org",)), run=make)
        found = border.look()
        border.take(Step(Kind.DEPLOY, ""))
        border.take(Step(Kind.BOOTSTRAP, ""))
    assert (found.stack, found.is_current, found.is_bootstrapped) == ("CREATE_COMPLETE", False, False)
    assert (found.unset_keys, found.sender) == (("anthropic",), "gpt-4o-mini")
    assert ran == [
        ["make", "deploy", "ARGS=-c alarm_email=me@example.org --require-approval never"],
        ["make", "bootstrap"],
    ]


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
