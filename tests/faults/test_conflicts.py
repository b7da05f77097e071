"""A write that meets a transaction on its row is repeated: nothing waits half an hour for it."""

from collections.abc import Iterator

import pytest

from faults.outside import Fault, Outside, is_create
from faults.scenarios import MAIN
from faults.world import World, new_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


def test_a_refused_create_whose_write_meets_a_transaction_is_not_in_doubt(world: World) -> None:
    met: list[str] = []

    def meets(name: str) -> Fault | None:
        is_refused = any(map(is_create, world.clients.outside.calls))
        if not is_refused or met or name != "dynamodb.UpdateItem":
            return None
        met.append(name)
        return Fault.CONFLICTED

    world.begin(Outside(), MAIN)
    world.simulator.fault("status", provider="openai", operation="create", code=401, times=1)
    world.simulator.fault("status", provider="anthropic", operation="create", code=401, times=1)
    world.clients.outside.meets = meets
    world.drop()
    world.deliver_all()  # and no time goes by
    states = {row["state"]["S"] for (_, sk), row in world.aws.table.items.items() if sk.startswith("BATCH#")}
    assert (world.errors, met, "SUBMITTING" in states) == ([], ["dynamodb.UpdateItem"], False)
