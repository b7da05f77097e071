"""The jobs whose every call is struck: what is dropped, how the providers behave, and what somebody does meanwhile.

Each is run once without faults; that run must keep the promises, and every other run must end as it did. Where the end
depends on the moment (a cancel, a late life), the promises alone must hold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchdrop.jobs import approve_job, reject_job
from faking.cloud import jsonl
from faking.lines import capped, chat, claude, for_model

from faults.structured import SCHEMA, Structured

if TYPE_CHECKING:
    from faults.world import World

OPENAI, ANTHROPIC = "openai", "anthropic"
_BUSY = {"match": "busy", "status": 500}
_WRONG = {"match": "wrong", "status": 400}
_EMPTY = {"match": "", "status": 400, "message": "Your credit balance is too low."}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One job, or several at once.

    Attributes:
        files: Dropped at the same moment, each a job.
        metadata: Of every file.
        splits: Of every file.
        limits: Of every provider, other than in `providers.toml`.
        first: How a provider's batches of first rounds go: a shape of the simulator's.
        later: How all batches go.
        begin: What goes wrong at the providers, whatever the call.
        acts: What somebody does at a moment (seconds after the drop); it is done again until it returns True.
        part_min: S3's smallest part, instead of 5 MiB.
        is_open_ended: The end depends on the moment; only the promises are asked for.
        loses_intents: A create that arrives hours later is not reported: nothing is left that tells of it.
        varies: Which requests a provider leaves unanswered is its own draw: only the sum of attempts is compared.
        stays_paused: A provider is down for good: its pause stays.
        charged: What the providers charge for.
        monthly_micros: What all jobs together may have reserved or spent at any moment, in millionths of a dollar.
        tells: A topic and a webhook are told of its events.
        schema: The output schema that its folder sets; an answer of each line does not fit, and is paid.
    """

    name: str
    files: tuple[bytes, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    splits: int = 2
    limits: dict[str, int] = field(default_factory=dict)
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    later: dict[str, Any] = field(default_factory=lambda: {"seconds_to_complete": 90})
    begin: Callable[["World"], None] = lambda _world: None
    acts: tuple[tuple[float, Callable[["World"], bool]], ...] = ()
    part_min: int | None = None
    is_open_ended: bool = False
    varies: bool = False
    loses_intents: bool = False
    stays_paused: bool = False
    charged: dict[str, int] = field(default_factory=dict)
    monthly_micros: int | None = None
    schema: bytes | None = None
    tells: bool = False

    @property
    def split_bytes(self) -> int:
        return max(len(body) for body in self.files) // self.splits + 1


def _lines(count: int, name: str = "line") -> bytes:
    """Lines for both providers in turn."""
    return jsonl([(chat if number % 2 else claude)(f"{name} {number}", number) for number in range(count)])


def _refuse_creates(world: "World") -> None:
    for provider in (OPENAI, ANTHROPIC):
        world.simulator.fault("status", provider=provider, operation="create", code=401, times=1)


def _capped_lines(count: int, name: str = "line") -> bytes:
    """The same, of which it is known what they may cost."""
    return jsonl([(capped if number % 2 else claude)(f"{name} {number}", number) for number in range(count)])


def _drop_settings(text: bytes) -> Callable[["World"], None]:
    return lambda world: world.aws.put("input/folder/batchdrop.toml", text, {}) and None


def _cancel(world: "World") -> bool:
    """Somebody asks to cancel, as soon as there is a job."""
    return world.cancel()


MAIN = Scenario(
    name="main",
    files=(
        jsonl(
            [
                chat("one", 1),
                claude("two", 2),
                chat("busy three"),
                {"neither": "a request"},
                claude("five", "five"),
                chat("wrong six"),
                claude("busy seven"),
                chat("eight"),
                claude("nine", {"n": 9}),
                chat("ten"),
                claude("wrong eleven"),
                chat("twelve", None),
            ]
        ),
    ),
    first={name: {"failing": [_WRONG, _BUSY]} for name in (OPENAI, ANTHROPIC)},
    later={"seconds_to_complete": 90, "failing": [_WRONG]},
    charged={OPENAI: 5, ANTHROPIC: 4},
)
EXPIRED = Scenario(
    name="expired",
    files=(_lines(8),),
    splits=1,
    first={name: {"expire_fraction": 0.5, "seconds_to_complete": 90} for name in (OPENAI, ANTHROPIC)},
    varies=True,
    charged={OPENAI: 4, ANTHROPIC: 4},
)
STOPPED = Scenario(
    name="stopped",  # by the provider
    files=(_lines(6),),
    splits=1,
    first={name: {"cancel_fraction": 0.5, "seconds_to_complete": 90} for name in (OPENAI, ANTHROPIC)},
    varies=True,
    charged={OPENAI: 3, ANTHROPIC: 3},
)
LOST = Scenario(
    name="lost",
    files=(_lines(6),),
    splits=1,
    first={name: {"forget": 1, "seconds_to_complete": 90} for name in (OPENAI, ANTHROPIC)},
    varies=True,
    charged={OPENAI: 3, ANTHROPIC: 3},
)
FULL = Scenario(
    name="full",  # the queue at the provider: the batch fails as a whole, through no fault of its lines
    files=(jsonl([chat(f"line {number}", number) for number in range(4)]),),
    first={OPENAI: {"fail_batch": "token_limit_exceeded", "seconds_to_complete": 90}},
    charged={OPENAI: 4},
)
BLAMED = Scenario(
    name="blamed",  # one line makes its whole batch fail
    files=(jsonl([chat("one", 1), chat("bad two", 2), chat("three", 3), chat("four", 4)]),),
    splits=1,
    first={OPENAI: {"seconds_to_complete": 90, "fail_batch": "invalid_json_line", "fail_line": 2}},
    charged={OPENAI: 3},
)
CANCELLED = Scenario(
    name="cancelled",  # by the user
    files=(_lines(16),),
    first={
        OPENAI: {"seconds_to_complete": 600, "failing": [_BUSY]},
        ANTHROPIC: {"seconds_to_complete": 90},
    },
    acts=((200, _cancel),),
    is_open_ended=True,
)
REJECTED = Scenario(
    name="rejected",
    files=(jsonl([chat("one"), {"neither": "a request"}, claude("three"), b"not JSON"]),),
    metadata={"batchdrop-on-invalid": "reject"},
    charged={},
)
MULTIPART = Scenario(
    name="multipart",
    files=(jsonl([chat(f"line {number} " + "x" * 40, number) for number in range(9)]),),
    splits=3,
    part_min=1_000,
    charged={OPENAI: 9},
)
TWO_JOBS = Scenario(
    name="two jobs",
    files=(_lines(4, "first"), _lines(4, "second")),
    splits=1,
    limits={"queued_requests": 3, "enqueued_tokens": 120},
    charged={OPENAI: 4, ANTHROPIC: 4},
)
PAUSED = Scenario(
    name="paused",  # the account is refused at the creates, and once more while a batch runs
    files=(_lines(4),),
    splits=1,
    first={ANTHROPIC: {"failing": [_EMPTY], "seconds_to_complete": 90}},
    begin=_refuse_creates,
    charged={OPENAI: 2, ANTHROPIC: 2},
)
TOO_LARGE = Scenario(
    name="too large",  # for the providers: batches are cut in two until they are taken
    files=(_lines(8),),
    splits=1,
    begin=lambda world: world.simulator.limits(openai_upload_bytes=600, anthropic_bytes=600),
    charged={OPENAI: 4, ANTHROPIC: 4},
)
LIMITED = Scenario(
    name="limited",  # a refusal tells a limit that the batch can never fit
    files=(jsonl([chat(f"line {number} " + "x" * 60, number) for number in range(6)]),),
    splits=1,
    begin=lambda world: world.simulator.enqueued_limit("gpt-*", 150),
    charged={OPENAI: 6},
)
RESTORED = Scenario(
    name="restored",  # the table, to a moment before the drop; one batch of two was collected by then
    files=(_lines(4),),
    first={ANTHROPIC: {"seconds_to_complete": 5_000}},
    loses_intents=True,
    acts=((600, lambda world: world.lose_table()), (601, lambda world: world.reconcile())),
    is_open_ended=True,
)
_OVER = {"batchdrop-budget-usd": "0.000001"}
NOT_DECIDED = Scenario(
    name="not decided",  # over its budget, and nobody approves it
    files=(_capped_lines(4),),
    metadata={**_OVER, "batchdrop-max-age": "40m"},
    charged={},
)
APPROVED = Scenario(
    name="approved",  # over its budget; whoever read the event approves it
    files=(_capped_lines(4),),
    metadata=_OVER,
    acts=((300, lambda world: world.decide(approve_job)),),
    charged={OPENAI: 2, ANTHROPIC: 2},
)
TURNED_DOWN = Scenario(
    name="turned down",
    files=(_capped_lines(4),),
    metadata=_OVER,
    acts=((300, lambda world: world.decide(reject_job)),),
    charged={},
)
ONE_BUDGET = Scenario(
    name="one budget",  # a month of the folder that has room for one of two jobs at once
    files=(_capped_lines(4, "first"), _capped_lines(4, "second")),
    splits=1,
    begin=_drop_settings(b"monthly_budget_usd = 0.00025"),
    monthly_micros=250,  # each may cost 146 at most, and costs 55
    is_open_ended=True,
)
HURRIED = Scenario(
    name="hurried",  # its batches hang, and what they leave is called before the deadline
    files=(_lines(6),),
    metadata={"batchdrop-deadline": "1h"},
    splits=1,
    limits={
        "realtime_concurrency": 1,
        "realtime_requests_per_minute": 6_000,
        "realtime_tokens_per_minute": 9_000_000,
    },
    first={name: {"seconds_to_complete": 10**6} for name in (OPENAI, ANTHROPIC)},
    is_open_ended=True,
)
_FALLBACK = {"batchdrop-fallback": "anthropic/claude-haiku-4-5"}
FALLING = Scenario(
    name="falling",  # to the fallback: two models are gone, and one line cannot be translated
    files=(
        jsonl(
            [
                chat("one", 1, "gpt-4-does-not-exist"),
                for_model(claude("two", 2), "claude-opus-does-not-exist"),
                for_model(chat("three") | {"body": chat("three")["body"] | {"n": 2}}, "gpt-4-does-not-exist"),
                chat("busy four"),
                chat("five"),
            ]
        ),
    ),
    metadata=_FALLBACK | {"batchdrop-max-attempts": "1"},
    splits=1,
    later={"seconds_to_complete": 90},
    first={OPENAI: {"failing": [_BUSY], "seconds_to_complete": 90}},
    charged={OPENAI: 1, ANTHROPIC: 3},
)
HURRIED_ELSEWHERE = Scenario(
    name="hurried elsewhere",  # OpenAI refuses the key for good: what was for it is called at the fallback
    files=(_lines(6),),
    metadata=_FALLBACK | HURRIED.metadata,
    splits=1,
    limits=HURRIED.limits,
    first={ANTHROPIC: {"seconds_to_complete": 10**6}},
    begin=lambda world: world.simulator.fault("status", provider=OPENAI, operation="*", code=401, times=None),
    is_open_ended=True,
    stays_paused=True,
)
SHARED = Scenario(
    name="shared",  # by several lines each: requests that are answered, that are refused, and that are sent again
    files=(
        jsonl(
            [
                (chat, claude)[number % 2](f"{text} {number % 2}", number)
                for text in ("one", "busy", "wrong", "one", "busy")
                for number in range(4)
            ]
        ),
    ),
    metadata={"batchdrop-dedupe": "true"},
    first={name: {"failing": [_WRONG, _BUSY]} for name in (OPENAI, ANTHROPIC)},
    later={"seconds_to_complete": 90, "failing": [_WRONG]},
    splits=1,
    charged={OPENAI: 2, ANTHROPIC: 2},
)
STRUCTURED = Scenario(
    name="structured",  # no first answer fits the output schema: each is sent again, and paid twice
    files=(_lines(4),),
    begin=_drop_settings(Structured().settings),
    first={name: {"misfits": 1.0, "seconds_to_complete": 90} for name in (OPENAI, ANTHROPIC)},
    charged={OPENAI: 4, ANTHROPIC: 4},
    schema=SCHEMA,
)
TOLD = Scenario(
    name="told",  # to a topic and a webhook; with a report
    files=(jsonl([chat("one", 1), chat("wrong two", 2)]),),
    metadata={"batchdrop-report": "true"},
    splits=1,
    later={"seconds_to_complete": 90, "failing": [_WRONG]},
    charged={OPENAI: 1},
    tells=True,
)
SCENARIOS = {
    each.name: each
    for each in (
        MAIN, EXPIRED, STOPPED, LOST, FULL, BLAMED, CANCELLED, REJECTED, MULTIPART, TWO_JOBS, PAUSED,
        TOO_LARGE, LIMITED, RESTORED, NOT_DECIDED, APPROVED, TURNED_DOWN, ONE_BUDGET, HURRIED,
        FALLING, HURRIED_ELSEWHERE, SHARED, STRUCTURED, TOLD,
    )
}  # fmt: skip
