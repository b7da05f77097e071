"""The values a deployment is given: `cdk.json` holds the defaults, `-c key=value` changes one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Node

ROOT = Path(__file__).resolve().parent.parent
VISIBILITY_MARGIN_SECONDS = 5  # a message comes back only after the function that held it was stopped
LONGEST_FUNCTION_SECONDS = 900  # Lambda's limit
LONGEST_TICK_SECONDS = 3_600  # a job has hours, and each of its steps may wait for a look or two
SMALLEST_CONCURRENCY = 2  # Lambda's limit for an event source

ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}
RETENTIONS = {
    1: logs.RetentionDays.ONE_DAY,
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


class ContextError(Exception):
    """A context value is missing or cannot be used; the message names its key."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Every value that may differ between two deployments."""

    stack_name: str
    architecture: lambda_.Architecture
    alarm_email: str | None
    notify_emails: tuple[str, ...]
    notify_webhooks: tuple[str, ...]
    providers_file: Path
    split_bytes: int
    tick_seconds: int
    lease_seconds: int
    function_seconds: int
    log_retention: logs.RetentionDays
    max_concurrency: int
    tracing: bool
    disposable: bool
    kms_key: str | None
    readable_kms_keys: tuple[str, ...]
    table: str | None
    bucket: str | None

    @property
    def pace(self) -> cdk.Duration:
        """Of poll's and sweep's schedules: whole minutes, EventBridge's shortest being one."""
        return cdk.Duration.minutes(-(-self.tick_seconds // 60))

    @classmethod
    def read(cls, node: Node) -> Self:
        """Take the values from the app's context.

        Raises:
            ContextError: A value is missing or cannot be used.
        """
        context = cls(
            stack_name=_text(node, "stack_name"),
            architecture=_choice(node, "arch", str, ARCHITECTURES),
            alarm_email=_text(node, "alarm_email") or None,
            notify_emails=_list(node, "notify_email", r"[^@\s]+@[^@\s]+", "an e-mail address"),
            notify_webhooks=_list(
                node, "notify_webhooks", r'https://[^\s@#"<>\\]+', "an address that begins with https://"
            ),
            providers_file=ROOT / _text(node, "providers_file"),
            split_bytes=_number(node, "split_bytes", at_least=1),
            tick_seconds=_number(node, "tick_seconds", at_least=1, at_most=LONGEST_TICK_SECONDS),
            lease_seconds=_number(node, "lease_seconds", at_least=1),
            function_seconds=_number(node, "function_seconds", at_least=1, at_most=LONGEST_FUNCTION_SECONDS),
            log_retention=_choice(node, "log_days", int, RETENTIONS),
            max_concurrency=_number(node, "max_concurrency", at_least=SMALLEST_CONCURRENCY),
            tracing=_choice(node, "tracing", str.lower, {"true": True, "false": False}),
            disposable=_choice(node, "disposable", str.lower, {"true": True, "false": False}),
            kms_key=_arn(node, "kms_key"),
            readable_kms_keys=_arns(node, "readable_kms_keys"),
            table=_name(node, "table", r"[A-Za-z0-9_.-]{3,255}"),
            bucket=_name(node, "bucket", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
        )
        if context.lease_seconds <= context.function_seconds + VISIBILITY_MARGIN_SECONDS:
            raise ContextError(
                f"context value 'lease_seconds' is {context.lease_seconds}: it must be above 'function_seconds' "
                f"({context.function_seconds}) + {VISIBILITY_MARGIN_SECONDS}, or two workers could hold one unit"
            )
        if not context.providers_file.is_file():
            raise ContextError(f"context value 'providers_file': there is no file {context.providers_file}")
        return context


def _value(node: Node, key: str) -> object:
    value: object = node.try_get_context(key)
    if value is None:
        raise ContextError(f"context value {key!r} is missing: cdk.json has its default, `-c {key}=…` sets it")
    return value


def _text(node: Node, key: str) -> str:
    return str(_value(node, key))


def _list(node: Node, key: str, form: str, what: str) -> tuple[str, ...]:
    """Values separated by commas."""
    values = tuple(each for each in (text.strip() for text in _text(node, key).split(",")) if each)
    for value in values:
        if not re.fullmatch(form, value):
            raise ContextError(f"context value {key!r}: {value!r} is not {what}")
    return values


def _arn(node: Node, key: str) -> str | None:
    arns = _arns(node, key)
    if len(arns) > 1:
        raise ContextError(f"context value {key!r} names {len(arns)} KMS keys: it must be one, or none")
    return arns[0] if arns else None


def _name(node: Node, key: str, form: str) -> str | None:
    """The name of a table or bucket of this account and region; None where none is given."""
    name = _text(node, key)
    if name and not re.fullmatch(form, name):
        raise ContextError(f"context value {key!r}: {name!r} is not the name of a {key}")
    return name or None


def _arns(node: Node, key: str) -> tuple[str, ...]:
    """ARNs of KMS keys, separated by commas: an alias names no key that a policy could allow."""
    form = r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+"
    return _list(node, key, form, "the ARN of a KMS key (arn:aws:kms:…:key/…)")


def _number(node: Node, key: str, *, at_least: int, at_most: int | None = None) -> int:
    value = _value(node, key)
    try:
        number = int(str(value))  # jsii gives 900.0 as 900; `-c` gives text
    except ValueError:
        raise ContextError(f"context value {key!r} must be a whole number, not {value!r}") from None
    if number < at_least or (at_most is not None and number > at_most):
        limits = f"at least {at_least}" + (f" and at most {at_most}" if at_most is not None else "")
        raise ContextError(f"context value {key!r} is {number}: it must be {limits}")
    return number


def _choice[Key: (str, int), Chosen](
    node: Node, key: str, read: Callable[[str], Key], choices: dict[Key, Chosen]
) -> Chosen:
    value = _value(node, key)
    try:
        return choices[read(str(value))]
    except (ValueError, KeyError):
        allowed = ", ".join(str(choice) for choice in choices)
        raise ContextError(f"context value {key!r} must be one of {allowed}, not {value!r}") from None
