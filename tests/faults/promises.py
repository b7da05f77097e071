"""What is promised of every job, read from what a user finds and from what the providers charge."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from faking.lines import got, wanted_of

from faults.structured import asked as asked_for
from faults.world import World


def broken_promises(world: World) -> list[str]:
    """Every promise that does not hold, in words."""
    found: list[str] = []
    answered, doubts = Counter[str](), 0
    for number, body in enumerate(world.scenario.files, start=1):
        job = _job(world, number)
        asked = [_asked(line, world.scenario.schema) for line in body.splitlines()]
        found += [f"lines-{number}: {each}" for each in _of_job(job, body, asked)]
        answers = [each for each in job.get("results", []) if each["error"] is None and "shared_with" not in each]
        answered.update(each.get("answered_by", each)["provider"] for each in answers)
        doubts += doubts_of(job["manifest"])
    return [*found, *_of_providers(world, answered, doubts), *_of_budgets(world)]


def broken_announcements(world: World) -> list[str]:
    """Every job that is over and was not told of, and every report that is not the one its manifest names."""
    manifests = [json.loads(world.aws.read(key)) for key in world.aws.objects if key.endswith("/manifest.json")]
    return [each for manifest in manifests for each in (*_of_places(world, manifest), *_of_report(world, manifest))]


def _of_places(world: World, manifest: dict[str, Any]) -> Iterator[str]:
    for place in (name for each in world.aws.places for name in each.values()):
        if not any(to == place and manifest["job"] in text for to, text in world.told.said):
            yield f"the {place} was not told that job {manifest['job']} is over"


def _of_report(world: World, manifest: dict[str, Any]) -> Iterator[str]:
    named = manifest["files"]["report"]
    if (named is not None) != (world.scenario.metadata.get("batchdrop-report") == "true"):
        yield f"the manifest names {named} as its report"
    if named is None:
        return
    versions = world.aws.objects[named["key"]]
    if [(each.id, len(each.body)) for each in versions] != [(named["version_id"], named["bytes"])]:
        yield f"the report that the manifest names is not the one that is there: {named}"
    if not versions[0].body.endswith(b"</html>\n"):
        yield "the report has no end"


def doubts_of(manifest: dict[str, Any]) -> int:
    """The calls at real time of which a manifest tells that they may have been charged for nothing."""
    return int((manifest.get("deadline") or {"doubts": 0})["doubts"])


def _job(world: World, number: int) -> dict[str, Any]:
    """A job's files, by their names."""
    keys = [key for key in world.aws.objects if key.startswith(f"output/folder/lines-{number}/")]
    bodies = {key.rpartition("/")[2]: world.aws.read(key) for key in keys}
    job: dict[str, Any] = {"names": sorted(bodies), "failed": bodies.get("failed.jsonl", b"")}
    for name in ("results", "errors"):
        job[name] = [json.loads(line) for line in bodies.get(f"{name}.jsonl", b"").splitlines()]
    job["manifest"] = json.loads(bodies.get("manifest.json", b"{}"))
    return job


def _asked(line: bytes, schema: bytes | None) -> bytes:
    return line if schema is None else json.dumps(asked_for(json.loads(line), schema)).encode()


def _of_job(job: dict[str, Any], body: bytes, asked: list[bytes]) -> Iterator[str]:
    status = job["manifest"].get("status")
    if status == "FAILED" or job["manifest"].get("counts", {}) is None:
        if job["names"] != ["manifest.json"]:
            yield f"a job that was not processed has {job['names']}"
        return
    lines = body.splitlines()
    if [each["line"] for each in job["results"]] != list(range(1, len(lines) + 1)):
        yield f"results of lines {[each['line'] for each in job['results']]}"
        return
    yield from (f"line {each['line']}: {each}" for each in job["results"] if not _is_sound(each, asked))
    errors = [each for each in job["results"] if each["error"] is not None]
    if job["errors"] != errors:
        yield f"errors.jsonl holds {job['errors']}"
    if job["failed"] != b"".join(lines[each["line"] - 1] + b"\n" for each in errors):
        yield f"failed.jsonl holds {job['failed']!r}"
    counts = {"total": len(lines), "answered": len(lines) - len(errors), "failed": len(errors)}
    if {name: job["manifest"]["counts"][name] for name in counts} != counts:
        yield f"the manifest counts {job['manifest']['counts']} instead of {counts}"


def _is_sound(result: dict[str, Any], lines: list[bytes]) -> bool:
    """Its own answer and no error, or an error."""
    return result["error"] is not None or got(result) == wanted_of(result, json.loads(lines[result["line"] - 1]))


def _of_providers(world: World, answered: Counter[str], doubts: int) -> Iterator[str]:
    for name, charges in world.simulator.charges().items():
        charged = charges["requests"] + charges["realtime"]["requests"]
        misfits = answered[name] if world.scenario.schema is not None else 0  # the first answer of each
        if not answered[name] <= charged <= answered[name] + doubts + misfits:
            yield f"{name} charged {charged} requests and {answered[name]} came back, with {doubts} doubts told"
        if charges["bodies_charged_more_than_once"] > doubts + misfits or charges["ever_live_duplicates"]:
            yield f"{name} was paid twice, or had requests twice: {charges}"


def _of_budgets(world: World) -> Iterator[str]:
    """A job over its budget pays nothing; and a ledger is what its jobs hold, none of which still reserves anything."""
    is_sent = any(each["batches"] for each in world.simulator.charges().values())
    manifests = [_job(world, number)["manifest"] for number, _ in enumerate(world.scenario.files, start=1)]
    if is_sent and all(each.get("counts", {}) is None for each in manifests):
        yield "a batch was created, and no job was processed"
    items = world.aws.table.items
    for (pk, name), item in items.items():
        parts = sum(int(each["micros"]["N"]) for (key, _), each in items.items() if key == f"BUDGET#{name}")
        if pk == "BUDGETS" and int(item["committed"]["N"]) != parts:
            yield f"{name} has {item['committed']['N']}, and its jobs {parts}"
