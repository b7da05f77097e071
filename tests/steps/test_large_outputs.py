"""Results that do not fit on the disk at once, nor into one piece, nor into the time of one run."""

import json
from typing import Any

import pytest
from batchdrop.states import JobState, SplitState
from batchdrop.steps.assemble import assemble_split
from batchdrop.steps.publish import publish_job
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude

LINES: list[Any] = [
    line
    for number in range(12)
    for line in (
        chat(f"{number} " + "é" * (7 * number)),
        claude(f"c{number}"),
        b"no json",
        b"",
        chat(f"wrong {number}"),
    )
]
SMALL = {"spool_bytes": 1_500, "piece_bytes": 2_000}


def outputs(cloud: Cloud, job: str) -> dict[str, Any]:
    out = cloud.outcome(job)
    manifest = json.loads(cloud.read(f"output/a/{job}/manifest.json"))
    return {
        "results": [{**each, "id": None, "batch_id": None, "response": None} for each in out.results],
        "errors": [each["line"] for each in out.errors],
        "failed": out.failed,
        "counts": manifest["counts"],
        "models": manifest["models"],
    }


def answered(cloud: Cloud) -> str:
    """A job whose only split is to be assembled."""
    cloud.simulator.shape(failing=[{"match": "wrong", "status": 400}])
    job = cloud.drop("input/a.jsonl", jsonl(LINES))
    assert job is not None
    for _ in range(30):
        for step in ("plan", "submit", "collect"):
            while cloud.deliver(step):
                pass
        split = cloud.services.store.split(job, 0)
        assert split is not None
        if split.state is SplitState.PLANNED and not split.open:
            return job
        cloud.tick()
    raise AssertionError(job)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    with new_cloud() as cloud:
        job = answered(cloud)
        cloud.settle()
        return outputs(cloud, job)


def test_results_in_many_windows_and_pieces_are_the_same(plain: dict[str, Any]) -> None:
    with new_cloud(**SMALL) as cloud:
        job = answered(cloud)
        assemble_split(job, 0, cloud.services)
        pieces = [key for key in cloud.keys("work/") if "/results-" in key]
        assert len(pieces) > 4
        cloud.settle()
        assert outputs(cloud, job) == plain
        assert plain["errors"] == [each["line"] for each in plain["results"] if each["error"]]
        assert [plain["counts"][name] for name in ("total", "answered", "failed")] == [48, 24, 24]


def test_a_run_without_time_leaves_the_rest_to_the_next(plain: dict[str, Any]) -> None:
    with new_cloud(**SMALL, function_seconds=0) as cloud:
        job = answered(cloud)
        done = []
        for _ in range(100):
            assemble_split(job, 0, cloud.services)
            split = cloud.services.store.split(job, 0)
            assert split is not None
            done.append(split.assembled)
            if split.state is SplitState.ASSEMBLED:
                break
        assert done[:-1] == sorted(set(done[:-1]))
        assert len(done) > 4
        assert len(split.part_keys) == len(done)
        cloud.settle()
        assert outputs(cloud, job) == plain


def test_sweep_has_a_split_gone_on_with(plain: dict[str, Any]) -> None:
    with new_cloud(**SMALL, function_seconds=0) as cloud:
        job = answered(cloud)
        cloud.settle(rounds=200)
        assert outputs(cloud, job) == plain


def test_lines_that_were_never_sent_fill_windows_as_well() -> None:
    with new_cloud(spool_bytes=5_000, function_seconds=0) as cloud:
        job = cloud.drop("input/a.jsonl", b"{}\n" * 40)
        assert job is not None
        cloud.deliver("plan")
        assemble_split(job, 0, cloud.services)
        split = cloud.services.store.split(job, 0)
        assert split is not None
        assert (split.state, split.assembled) == (SplitState.PLANNED, 10)
        cloud.settle()  # a run of publish has no time either, and makes one output all the same
        out = cloud.outcome(job)
        assert [each["line"] for each in out.results] == list(range(1, 41))
        assert out.failed == [b"{}"] * 40


def test_a_run_that_dies_gives_nothing_twice(plain: dict[str, Any]) -> None:
    class Died(BaseException):
        pass

    def die(**_: object) -> None:
        raise Died

    with new_cloud(**SMALL, function_seconds=0) as cloud:
        job = answered(cloud)
        client = cloud.services.store._table._client  # noqa: SLF001 - where the outside begins
        assemble_split(job, 0, cloud.services)
        event = "before-call.s3.PutObject"
        cloud.services.files._client.meta.events.register(event, die)  # noqa: SLF001 - as above
        with pytest.raises(Died):
            assemble_split(job, 0, cloud.services)
        cloud.services.files._client.meta.events.unregister(event, die)  # noqa: SLF001 - as above
        cloud.tick(1_000)
        assemble_split(job, 0, cloud.services)
        calls = iter([False, True])
        client.meta.events.register(
            "before-call.dynamodb.UpdateItem", lambda **_: die() if next(calls, False) else None
        )
        with pytest.raises(Died):
            assemble_split(job, 0, cloud.services)  # its part is written, and not recorded
        cloud.tick(1_000)
        cloud.settle(rounds=200)
        assert outputs(cloud, job) == plain


def test_publishing_that_runs_out_of_time_goes_on_by_sweep() -> None:
    lines = [chat(f"wrong {number} " + "x" * 2_000_000) for number in range(8)]
    with new_cloud(piece_bytes=6_000_000, split_bytes=100_000_000) as cloud:
        cloud.simulator.shape(failing=[{"match": "wrong", "status": 400}])
        job = cloud.drop("input/a.jsonl", jsonl(lines))
        assert job is not None
        to_be_published(cloud, job)
        asked = slow_outputs(cloud, seconds=400)
        cloud.deliver("publish")
        assert waiting(cloud, job) == (JobState.PUBLISHING, 0)
        assert asked["wrote"] == ["results.jsonl", "errors.jsonl"]
        cloud.settle()
        assert cloud.outcome(job).failed == [json.dumps(line).encode() for line in lines]


def test_a_run_of_publish_makes_what_is_missing_and_asks_for_nothing_that_is_there() -> None:
    lines = [{"model": "text-embedding-3-small", "input": str(number), "dimensions": 1536} for number in range(1_600)]
    with new_cloud(split_bytes=100_000) as cloud:
        job = cloud.drop("input/a.jsonl", jsonl(lines), **{"batchdrop-part_bytes": "5242880"})
        assert job is not None
        to_be_published(cloud, job)
        asked, runs = slow_outputs(cloud, seconds=400), []
        while waiting(cloud, job)[0] is JobState.PUBLISHING:
            made = len(asked["wrote"])
            publish_job(job, cloud.services)
            runs.append(len(asked["wrote"]) - made)
        results = [each.key.rpartition("/")[2] for each in cloud.outcome(job).manifest.files.results]
        assert len(results) > 2
        assert asked["wrote"] == [*results, "errors.jsonl", "failed.jsonl", "manifest.json"]
        assert set(runs[:-1]) == {2}
        assert sorted(asked["asked"]) == sorted(results)  # each once, before it was made
        assert [each["line"] for each in cloud.outcome(job).results] == list(range(1, 1_601))


def to_be_published(cloud: Cloud, job: str) -> None:
    """Let everything happen but publishing."""
    for _ in range(40):
        while any(cloud.deliver(step) for step in ("plan", "submit", "collect", "assemble")):
            pass
        if waiting(cloud, job)[0] is JobState.PUBLISHING:
            return
        cloud.tick(300)
    raise AssertionError(job)


def slow_outputs(cloud: Cloud, *, seconds: int) -> dict[str, list[str]]:
    """Let each output take so long; which ones are written, and which are asked for by HEAD."""
    seen: dict[str, list[str]] = {"wrote": [], "asked": []}
    events = cloud.services.files._client.meta.events  # noqa: SLF001 - where the outside begins

    def write(params: dict[str, Any], **_: object) -> None:
        if params["Key"].startswith("output/"):
            cloud.clock.now += seconds
            seen["wrote"].append(params["Key"].rpartition("/")[2])

    events.register("before-parameter-build.s3.PutObject", write)
    events.register("before-parameter-build.s3.CompleteMultipartUpload", write)
    events.register(
        "before-parameter-build.s3.HeadObject",
        lambda params, **_: seen["asked"].append(params["Key"].rpartition("/")[2]),
    )
    return seen


def waiting(cloud: Cloud, job: str) -> tuple[JobState, int]:
    found = cloud.services.store.job(job)
    assert found is not None
    return found.state, found.claimed_until
