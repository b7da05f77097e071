"""DynamoDB in memory, spoken to in its own JSON: what `batchdrop.aws` use of it, no more.

It is here because thousands of jobs run on it; a test holds it against moto, answer by answer.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import Any

Item = dict[str, Any]
Term = Callable[[Item, Item, Item], Any]
"""What an expression's part says of an item, its names and its values."""

_TOKEN = re.compile(r"\s*(<=|>=|<>|[=<>(),+-]|[#:]?\w+)")
_INDEXES = {"due": ("due_key", "due_at"), "days": ("day", "pk"), None: ("pk", "sk")}
_PROJECTED = {
    "due": {"pk", "sk", "due_key", "due_at", "batch_id", "submitted_at", "priority", "ledger", "cost"},
    "days": {"pk", "sk", "day"},
}
_atomic = Lock()  # no call sees half of another, whichever thread makes it
_MOST_ITEMS = 100  # of a transaction
_MOST_KEY_BYTES = {"pk": 2_048, "sk": 1_024}  # DynamoDB's limits
_MOST_ITEM_BYTES = 400 * 1024  # the same


class RefusedError(Exception):
    """An error of DynamoDB's, as it is on the wire."""

    def __init__(self, kind: str, **body: Any) -> None:
        super().__init__(kind)
        self.code = kind
        self.body = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "Message": kind, **body}

    def answer(self) -> Item:
        """The error as botocore parses it."""
        return {"Error": {"Code": self.code, "Message": self.code}, "ResponseMetadata": {}, **self.body}


class Table:
    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.created_at = datetime.fromtimestamp(0, UTC)
        self.is_restored = False

    def call(self, operation: str, body: Item) -> Item:
        """Raises: RefusedError."""
        calls: dict[str, Callable[[Item], Item]] = {
            "GetItem": self._get,
            "PutItem": self._one("Put"),
            "UpdateItem": self._one("Update"),
            "DeleteItem": self._one("Delete"),
            "Query": self._query,
            "Scan": lambda _body: {"Items": list(self.items.values())},
            "TransactWriteItems": self._transact,
            "DescribeTable": lambda _body: {"Table": self._description()},
        }
        with _atomic:
            return calls[operation](body)

    def _description(self) -> Item:
        restored = {"RestoreSummary": {"RestoreInProgress": False}} if self.is_restored else {}
        return {"CreationDateTime": self.created_at, **restored}

    def _get(self, body: Item) -> Item:
        found = self.items.get(_key(body["Key"]))
        return {} if found is None else {"Item": found}

    def _one(self, kind: str) -> Callable[[Item], Item]:
        def call(body: Item) -> Item:
            key = _key(body["Item"] if kind == "Put" else body["Key"])
            old = self.items.get(key)
            if not _holds(old, body):
                raise RefusedError("ConditionalCheckFailedException", **_shown(old, body))
            self._write(kind, key, body)
            returned = {"ALL_OLD": old, "ALL_NEW": self.items.get(key)}.get(body.get("ReturnValues", ""))
            return {"Attributes": returned} if returned is not None else {}

        return call

    def _write(self, kind: str, key: tuple[str, str], body: Item) -> None:
        if kind == "Put":
            self.items[key] = _fitting(body["Item"])
        elif kind == "Update":
            self.items[key] = _fitting(_updated(self.items.get(key, body["Key"]), body))
        elif kind == "Delete":
            self.items.pop(key, None)

    def _transact(self, body: Item) -> Item:
        writes = [next(iter(each.items())) for each in body["TransactItems"]]
        keys = [_key(each["Item"] if kind == "Put" else each["Key"]) for kind, each in writes]
        if len(set(keys)) < len(keys) or len(keys) > _MOST_ITEMS:
            raise RefusedError("ValidationException")
        reasons = []
        for key, (_, each) in zip(keys, writes, strict=True):
            old = self.items.get(key)
            is_fine = _holds(old, each)
            reasons.append({"Code": "None"} if is_fine else {"Code": "ConditionalCheckFailed", **_shown(old, each)})
        if any(each["Code"] != "None" for each in reasons):
            raise RefusedError("TransactionCanceledException", CancellationReasons=reasons)
        for key, (kind, each) in zip(keys, writes, strict=True):
            self._write(kind, key, each)
        return {}

    def _query(self, body: Item) -> Item:
        hashed, ranged = _INDEXES[body.get("IndexName")]
        condition = _condition(body["KeyConditionExpression"])
        names, values = body.get("ExpressionAttributeNames", {}), body["ExpressionAttributeValues"]
        hash_value = values[body["KeyConditionExpression"].split()[2]]
        found = [
            each
            for each in self.items.values()
            if each.get(hashed) == hash_value and ranged in each and condition(each, names, values)
        ]
        found.sort(key=lambda each: (_plain(each[ranged]), *_key(each)), reverse=not body.get("ScanIndexForward", True))
        wanted = _PROJECTED.get(body.get("IndexName"))
        if wanted is not None:
            found = [{name: value for name, value in each.items() if name in wanted} for each in found]
        return {"Items": found, "Count": len(found), "ScannedCount": len(found)}


def _key(item: Item) -> tuple[str, str]:
    pk, sk = item["pk"]["S"], item["sk"]["S"]
    if not 0 < len(pk.encode()) <= _MOST_KEY_BYTES["pk"] or not 0 < len(sk.encode()) <= _MOST_KEY_BYTES["sk"]:
        raise RefusedError("ValidationException")
    return pk, sk


def _fitting(item: Item) -> Item:
    """The item, unless it is larger than a row may be; its text is a little longer than what DynamoDB counts."""
    if sum(len(name) + len(str(value)) for name, value in item.items()) > _MOST_ITEM_BYTES:
        raise RefusedError("ValidationException")
    return item


def _plain(value: Item) -> Any:
    ((kind, plain),) = value.items()
    return int(plain) if kind == "N" else plain


def _holds(old: Item | None, body: Item) -> bool:
    if "ConditionExpression" not in body:
        return True
    names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
    return bool(_condition(body["ConditionExpression"])(old or {}, names, values))


def _shown(old: Item | None, body: Item) -> Item:
    is_wanted = body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return {"Item": old} if old is not None and is_wanted else {}


def _updated(old: Item, body: Item) -> Item:
    if "UpdateExpression" not in body:
        return old
    sets, removes = _update(body["UpdateExpression"])
    names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
    new = {**old, **{names.get(name, name): term(old, names, values) for name, term in sets}}
    for name in removes:
        new.pop(names.get(name, name), None)
    return new


# Expressions


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise ValueError(f"{token!r} instead of {wanted!r} in {' '.join(self._tokens)}")
        self._at += 1
        return token

    def takes(self, wanted: str) -> bool:
        found = self.peek() == wanted
        self._at += found
        return found


@cache
def _condition(text: str) -> Term:
    tokens = _Tokens(text)
    condition = _either(tokens)
    if tokens.peek():
        raise ValueError(f"{tokens.peek()!r} is left of {text}")
    return condition


def _either(tokens: _Tokens) -> Term:
    terms = [_both(tokens)]
    while tokens.takes("OR"):
        terms.append(_both(tokens))
    return lambda *given: any(term(*given) for term in terms)


def _both(tokens: _Tokens) -> Term:
    terms = [_comparison(tokens)]
    while tokens.takes("AND"):
        terms.append(_comparison(tokens))
    return lambda *given: all(term(*given) for term in terms)


def _comparison(tokens: _Tokens) -> Term:
    if tokens.takes("("):
        inside = _either(tokens)
        tokens.take(")")
        return inside
    if tokens.peek() in _FUNCTIONS:
        function = _FUNCTIONS[tokens.take()]
        arguments = _arguments(tokens)
        return lambda *given: function(*(each(*given) for each in arguments))
    left, operator, right = _operand(tokens), _OPERATORS[tokens.take()], _operand(tokens)
    return lambda *given: operator(left(*given), right(*given))


def _arguments(tokens: _Tokens) -> list[Term]:
    tokens.take("(")
    arguments = [_operand(tokens)]
    while tokens.takes(","):
        arguments.append(_operand(tokens))
    tokens.take(")")
    return arguments


def _compared(is_so: Callable[[Any, Any], bool]) -> Callable[[Item | None, Item | None], bool]:
    def operator(left: Item | None, right: Item | None) -> bool:
        if left is None or right is None or left.keys() != right.keys():
            return False
        return is_so(_plain(left), _plain(right))

    return operator


_OPERATORS = {
    "=": _compared(lambda left, right: left == right),
    "<=": _compared(lambda left, right: left <= right),
    "<": _compared(lambda left, right: left < right),
    ">=": _compared(lambda left, right: left >= right),
    ">": _compared(lambda left, right: left > right),
}
_FUNCTIONS: dict[str, Callable[..., bool]] = {
    "attribute_not_exists": lambda value: value is None,
    "attribute_exists": lambda value: value is not None,
    "begins_with": lambda value, start: value is not None and _plain(value).startswith(_plain(start)),
}


def _operand(tokens: _Tokens) -> Term:
    token = tokens.take()
    if token == "if_not_exists":
        first, second = _arguments(tokens)
        return lambda *given: second(*given) if first(*given) is None else first(*given)
    if token.startswith(":"):
        return lambda _item, _names, values: values[token]
    return lambda item, names, _values: item.get(names.get(token, token))


@cache
def _update(text: str) -> tuple[list[tuple[str, Term]], list[str]]:
    tokens = _Tokens(text)
    sets: list[tuple[str, Term]] = []
    removes: list[str] = []
    while tokens.peek():
        if tokens.take() == "SET":
            sets.extend(_list(tokens, _assignment))
        else:
            removes.extend(_list(tokens, lambda tokens: tokens.take()))
    return sets, removes


def _list[T](tokens: _Tokens, read: Callable[[_Tokens], T]) -> Iterator[T]:
    yield read(tokens)
    while tokens.takes(","):
        yield read(tokens)


def _assignment(tokens: _Tokens) -> tuple[str, Term]:
    name = tokens.take()
    tokens.take("=")
    left = _operand(tokens)
    if tokens.peek() not in {"+", "-"}:
        return name, left
    sign, right = (1 if tokens.take() == "+" else -1), _operand(tokens)

    def total(*given: Item) -> Item:
        return {"N": str(_plain(left(*given)) + sign * _plain(right(*given)))}

    return name, total
