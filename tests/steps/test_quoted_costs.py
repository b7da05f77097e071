"""What a file was quoted at holds what its job then costs, by the tokens that the providers count."""

from decimal import Decimal
from pathlib import Path

import pytest
from batchdrop.providers.config import load_providers
from batchdrop.providers.price_list import settled_prices
from faking.cloud import TOML, Cloud

from batchdrop_cli.prices import cost_of_job
from batchdrop_cli.quote import quote_file

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["reviews_and_rights.jsonl", "with_mistakes.jsonl"])
def test_the_quote_of_an_example_holds_what_its_job_costs(cloud: Cloud, name: str) -> None:
    file = EXAMPLES / name
    priced = quote_file(file, load_providers(TOML))
    manifest = cloud.run(f"input/{name}", file.read_bytes()).manifest
    cost = cost_of_job(manifest, settled_prices(load_providers(TOML))).dollars
    assert cost is not None
    assert priced.most is not None
    assert Decimal(priced.quote.batch.low_usd) < cost < priced.most
    counted = {(each.provider, each.model, each.endpoint): each for each in manifest.models}
    quoted = {(each.provider, each.model, each.endpoint): each for each in priced.quote.models}
    assert {route: each.requests for route, each in counted.items()} == {
        route: each.requests for route, each in quoted.items()
    }
    for route, each in quoted.items():
        usage = counted[route].usage
        assert each.input_tokens.high is not None
        assert each.output_tokens.high is not None
        assert each.input_tokens.low <= usage.input_tokens <= each.input_tokens.high, route
        assert usage.output_tokens <= each.output_tokens.high, route
    assert manifest.counts is not None
    assert (manifest.counts.total, manifest.counts.failed) == (
        priced.quote.lines - priced.quote.blank_lines,
        priced.quote.invalid_lines,
    )
