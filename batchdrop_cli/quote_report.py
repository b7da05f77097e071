"""Prints a quote, for `quote`, and for `put` and `run` before the upload."""

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

from batchdrop.money import TokenRange

from batchdrop_cli.prices import LEAST, shown
from batchdrop_cli.quote import DollarRange, InvalidKind, ModelQuote, Priced, Quote
from batchdrop_cli.say import count, note, say, say_table
from batchdrop_cli.table_files import holds_rows
from batchdrop_cli.words import ROW_ONE

_CENTS = Decimal("0.01")
_CENTS_FROM = 10  # dollars: below, a cent is too coarse


def say_quote(priced: Priced, name: str) -> None:
    """A quote of a file of this name."""
    quote, noun = priced.quote, priced.noun
    sent = quote.lines - quote.blank_lines - quote.invalid_lines - quote.shared_lines
    parts = [f"{sent:,} to be sent", f"{quote.invalid_lines:,} with errors", f"{quote.blank_lines:,} blank"]
    parts += [f"{quote.shared_lines:,} equal to others"] if quote.shared_lines else []
    say(f"{name}: {count(quote.lines, noun)}: {', '.join(parts)}")
    if quote.models:
        say()
        _say_models(quote.models)
        say()
        say(f"{count(quote.batches, 'batch', 'batches')} to be made.")
        for heading, cost in (("In batches", quote.batch), ("At real time", quote.realtime), ("Saved", quote.saved)):
            say(f"{heading + ':':<13} {dollars(cost)}{_hint(quote) if cost.high_usd is None else ''}")
        for text in remarks(quote):
            say(text)
    if quote.invalid:
        say()
        for kind in quote.invalid:
            say(f"Not sent: {describe_invalid(kind, noun)}")
        if noun == "row":
            say(ROW_ONE)
    if quote.models:
        say()
        say(f"Input tokens are an estimate: {quote.input_estimate}.")
        say(f"Prices: {quote.prices.source}{_own(quote)}. What a quote promises: docs/command.md.")


def note_quote(quote: Quote) -> None:
    """One line before an upload; nothing where no price is known."""
    if all(each.batch is None for each in quote.models):
        return
    names = quote.unpriced_models
    without = f", without {', '.join(names)}, whose price is unknown" if names else ""
    if quote.batch.high_usd is None:
        lows = [Decimal(each.low_usd) for each in (quote.batch, quote.realtime)]
        batch, realtime = (_money(low, ROUND_FLOOR) for low in lows)
        least = f"at least {batch} in batches, {realtime} at real time{without}; " if min(lows) >= LEAST else ""
        note(f"Quote: {least}at most unknown{_hint(quote)}{'' if least else without}.")
        return
    note(f"Quote: {dollars(quote.batch)} in batches, {dollars(quote.realtime)} at real time.")


def dollars(cost: DollarRange | None) -> str:
    """`$0.0012 to $0.0240`, `at most $0.0240`, `under $0.0001`; rounded outwards."""
    if cost is None:
        return "unknown"
    is_little, low = Decimal(cost.low_usd) < LEAST, _money(Decimal(cost.low_usd), ROUND_FLOOR)
    if cost.high_usd is None:
        return "unknown" if is_little else f"{low} at least; at most unknown"
    high = _money(Decimal(cost.high_usd), ROUND_CEILING)
    if is_little:
        return f"at most {high}" if Decimal(cost.high_usd) >= LEAST else high
    return low if low == high else f"{low} to {high}"


def _hint(quote: Quote) -> str:
    """Return the option that makes a table's highest cost known: the options make its requests."""
    is_open = any(each.no_output_limit for each in quote.models)
    return " (set --max-tokens)" if is_open and holds_rows(Path(quote.file), quote.file) else ""


def _money(amount: Decimal, rounding: str) -> str:
    return shown(amount, rounding) if amount < _CENTS_FROM else f"${amount.quantize(_CENTS, rounding):,}"


def tokens(found: TokenRange) -> str:
    if found.high is None:
        return f"{found.low:,}+"
    return f"{found.low:,}" if found.low == found.high else f"{found.low:,}-{found.high:,}"


def _say_models(models: list[ModelQuote]) -> None:
    headings = ("provider", "model", "endpoint", "requests", "tokens in", "tokens out", "in batches", "at real time")
    rows = [
        [
            each.provider,
            each.model,
            each.endpoint,
            f"{each.requests:,}",
            tokens(each.input_tokens),
            tokens(each.output_tokens),
            _cell(each.batch),
            _cell(each.realtime),
        ]
        for each in models
    ]
    say_table(headings, rows, numbers=headings[3:])


def _cell(cost: DollarRange | None) -> str:
    if cost is not None and cost.high_usd is None and Decimal(cost.low_usd) >= LEAST:
        return f"{_money(Decimal(cost.low_usd), ROUND_FLOOR)}+"
    return dollars(cost)


def remarks(quote: Quote) -> Iterator[str]:
    """Yield a sentence for each uncertainty, and for each special count."""
    if quote.unpriced_models:
        yield f"No price is known, and none is in the sums: {', '.join(quote.unpriced_models)}."
    if quote.no_batch_price:
        yield f"No batch price is known, so counted at the real-time price: {', '.join(quote.no_batch_price)}."
    for each in quote.models:
        name = f"{each.provider}, {each.model}, {each.endpoint}"
        if each.no_output_limit:
            yield f"{name}: {count(each.no_output_limit, 'request')} with no limit given for output tokens."
        if each.unseen_input:
            seen = count(each.unseen_input, "request")
            yield f"{name}: {seen} with input that is not in the file (files by id or address, server tools)."
        if each.media:
            parts = ", ".join(f"{count(m.parts, m.kind)}: {count(m.tokens, 'token')} at most" for m in each.media)
            yield f"{name}: {parts}."


def describe_invalid(kind: InvalidKind, noun: str) -> str:
    """`3 lines: invalid_json (lines 3, 17, 22)`; `…` where there are more. `noun` is what lines are called."""
    numbers = ", ".join(f"{number:,}" for number in kind.first_lines)
    more = ", …" if kind.lines > len(kind.first_lines) else ""
    return f"{count(kind.lines, noun)}: {kind.code} ({noun}{'s' if kind.lines > 1 else ''} {numbers}{more})"


def _own(quote: Quote) -> str:
    return f", and of [prices] for {', '.join(quote.prices.own)}" if quote.prices.own else ""
