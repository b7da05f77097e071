"""Single requests, gathered into files: when they are dropped, what each gets, and what ends them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from batchdrop import Client, Gather, JobFailed, JobHeld, RequestFailed, Result
from faking.cloud import BUCKET

from provider_simulator.answers import content, expected

if TYPE_CHECKING:
    from conftest import World

CHAT = "/v1/chat/completions"
NEVER = 3_600.0  # seconds


def body(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 20}


def said(result: Result | BaseException) -> Any:
    if isinstance(result, BaseException):
        raise result
    return content(CHAT, result.body)


def dropped(world: "World") -> list[list[str]]:
    """The texts that each dropped file asks, in the order of the files' jobs."""
    files = [world.cloud.read(each["Key"]) for each in world.drops()]
    return sorted([json.loads(line)["messages"][0]["content"] for line in file.splitlines()] for file in files)


async def asked(client: Client, texts: list[str]) -> list[Result | BaseException]:
    return await asyncio.gather(*(client.ask(body(text)) for text in texts), return_exceptions=True)


async def until_dropped(client: Client) -> None:
    while not client.asked_jobs:  # noqa: ASYNC110 - a thread fills it
        await asyncio.sleep(0.001)


def test_requests_are_gathered_and_each_gets_its_own_answer(world: "World") -> None:
    async def main() -> list[Result]:
        async with world.client(Gather(count=3, seconds=NEVER)) as client:
            answers = await asyncio.gather(*(client.ask(body(text)) for text in "abc"))
            assert [client.job(each).is_over for each in client.asked_jobs] == [True]
            return answers

    assert [said(each) for each in asyncio.run(main())] == [expected(CHAT, body(text)) for text in "abc"]
    assert dropped(world) == [["a", "b", "c"]]
    (drop,) = world.drops()
    assert drop["Key"].startswith("input/asked/")


@pytest.mark.parametrize(
    ("gather", "files"),
    [
        (Gather(count=2, seconds=NEVER), [["a", "b"], ["c"]]),
        (Gather(bytes=300, seconds=NEVER), [["a", "b"], ["c"]]),
        (Gather(bytes=10, seconds=NEVER), [["a"], ["b"], ["c"]]),
        (Gather(seconds=NEVER), [["a", "b", "c"]]),
    ],
)
def test_a_file_is_dropped_by_count_by_bytes_and_at_the_end(
    world: "World", gather: Gather, files: list[list[str]]
) -> None:
    async def main() -> list[Result | BaseException]:
        async with world.client(gather) as client:
            asking = asyncio.ensure_future(asked(client, list("abc")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return await asking

    assert [said(each) for each in asyncio.run(main())] == [expected(CHAT, body(text)) for text in "abc"]
    assert dropped(world) == files


def test_a_file_is_dropped_some_seconds_after_its_first_request(world: "World") -> None:
    client = world.client(Gather(seconds=0.01))
    answers = asyncio.run(asked(client, ["a", "b"]))
    assert [isinstance(each, Result) for each in answers] == [True, True]
    assert dropped(world) == [["a", "b"]]


@pytest.mark.parametrize(
    ("line", "model"),
    [
        (body("a"), "gpt-4.1-mini"),
        ({"custom_id": "a", "method": "POST", "url": CHAT, "body": body("a")}, "gpt-4.1-mini"),
        ({"custom_id": "a", "params": {**body("a"), "model": "claude-opus-4-8"}}, "claude-haiku-4-5"),
    ],
    ids=["bare", "OpenAI's form", "Anthropic's form"],
)
def test_another_model_takes_the_place_of_the_bodys(world: "World", line: dict[str, Any], model: str) -> None:
    async def main() -> Result:
        async with world.client(Gather(count=1)) as client:
            return await client.ask(line, model=model)

    assert asyncio.run(main()).model == model


def test_a_request_without_an_answer_raises_and_the_others_have_theirs(world: "World") -> None:
    async def main() -> list[Result | BaseException]:
        client = world.client(Gather(count=2))
        return await asyncio.gather(client.ask({"nothing": 1}), client.ask(body("a")), return_exceptions=True)

    failed, answered = asyncio.run(main())
    assert isinstance(failed, RequestFailed)
    assert failed.result.error is not None
    assert str(failed) == f"{failed.result.error.code}: {failed.result.error.message}"
    assert isinstance(answered, Result)


def test_who_does_not_wait_any_more_is_not_sent_and_not_paid(world: "World") -> None:
    async def main() -> list[Any]:
        async with world.client(Gather(seconds=NEVER)) as client:
            tasks = [asyncio.ensure_future(client.ask(body(text))) for text in "ab"]
            await asyncio.sleep(0)
            tasks[0].cancel()
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, answered = asyncio.run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert isinstance(answered, Result)
    assert dropped(world) == [["b"]]


def test_who_leaves_after_the_drop_disturbs_nobody(world: "World") -> None:
    async def main() -> Any:
        client = world.client(Gather(count=2))
        tasks = [asyncio.ensure_future(client.ask(body(text))) for text in "ab"]
        await until_dropped(client)
        tasks[0].cancel()
        return await tasks[1]

    assert said(asyncio.run(main())) == expected(CHAT, body("b"))


def test_when_all_have_left_nothing_is_dropped(world: "World") -> None:
    async def main() -> None:
        async with world.client(Gather(seconds=NEVER)) as client:
            task = asyncio.ensure_future(client.ask(body("a")))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert world.drops() == []


def test_a_drop_that_fails_is_everybodys_error(world: "World") -> None:
    world.cloud.s3.delete_bucket(Bucket=BUCKET)
    errors = asyncio.run(asked(world.client(Gather(count=2)), ["a", "b"]))
    assert [f"{type(each).__name__}: {each}" for each in errors] == [
        "CloudFailed: The bucket is gone. Deploy again (make deploy, or batchdrop local up), then repeat the command."
    ] * 2


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({"budget_usd": "0.000001"}, JobHeld), ({"on_invalid": "reject"}, JobFailed)],
)
def test_a_job_that_is_held_or_fails_is_everybodys_error_and_is_known(
    world: "World", settings: dict[str, str], kind: type[Exception]
) -> None:
    client = world.client(Gather(count=2, settings=settings))

    async def main() -> list[Any]:
        return await asyncio.gather(client.ask({}), client.ask(body("a")), return_exceptions=True)

    errors = asyncio.run(main())
    assert [type(each) for each in errors] == [kind, kind]
    assert [each.job_id for each in errors] == client.asked_jobs * 2


def test_after_an_error_in_its_block_nothing_more_is_dropped_and_nobody_waits(world: "World") -> None:
    client = world.client(Gather(count=1, seconds=NEVER))
    client_that_gathers = world.client(Gather(seconds=NEVER))
    world.stands_still = True
    ends: list[Any] = []

    async def main() -> None:
        async with client, client_that_gathers:
            tasks = [asyncio.ensure_future(each.ask(body("a"))) for each in (client, client_that_gathers)]
            await until_dropped(client)
            ends.extend(tasks)
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert [each.cancelled() for each in ends] == [True, True]
    assert (dropped(world), client_that_gathers.asked_jobs) == ([["a"]], [])
    world.stands_still = False
    (job_id,) = client.asked_jobs
    assert [said(each) for each in world.client().job(job_id).wait().results()] == [expected(CHAT, body("a"))]


def test_what_is_asked_while_the_block_ends_is_dropped_and_answered_too(world: "World") -> None:
    async def main() -> Result:
        async with world.client(Gather(seconds=NEVER)) as client:

            async def ask_twice() -> Result:
                await client.ask(body("a"))
                return await client.ask(body("b"))

            asking = asyncio.ensure_future(ask_twice())
        return await asyncio.wait_for(asking, timeout=60)

    assert said(asyncio.run(main())) == expected(CHAT, body("b"))
    assert dropped(world) == [["a"], ["b"]]


@pytest.mark.parametrize("error", [None, LookupError], ids=["finished", "failed"])
def test_nothing_is_asked_after_the_block_until_another_begins(world: "World", error: type[Exception] | None) -> None:
    client = world.client(Gather(count=1))

    async def main() -> Result:
        with suppress(LookupError):
            async with client:
                if error is not None:
                    raise error
        with pytest.raises(RuntimeError, match="The client's `async with` block is over"):
            await client.ask(body("a"))
        assert world.drops() == []
        async with client:
            return await client.ask(body("b"))

    assert said(asyncio.run(main())) == expected(CHAT, body("b"))


def test_an_error_right_after_a_drop_leaves_nobody_waiting(world: "World") -> None:
    async def main() -> list[Any]:
        asking: list[asyncio.Future[Any]] = []
        with suppress(LookupError):
            async with world.client(Gather(count=1)) as client:
                asking.append(asyncio.ensure_future(client.ask(body("a"))))
                await asyncio.sleep(0)
                raise LookupError
        return await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), timeout=60)

    assert [type(each) for each in asyncio.run(main())] == [asyncio.CancelledError]


def test_a_loop_that_closes_ends_who_waits_and_the_next_loop_begins_anew(world: "World") -> None:
    client = world.client(Gather(count=1))
    left: list[asyncio.Future[Any]] = []

    async def leave() -> None:
        world.stands_still = True
        left.append(asyncio.ensure_future(client.ask(body("a"))))
        await until_dropped(client)

    asyncio.run(leave())
    assert left[0].cancelled()
    world.stands_still = False
    assert [isinstance(each, Result) for each in asyncio.run(asked(client, ["b"]))] == [True]
    assert len(client.asked_jobs) == 2


def test_two_loops_at_once_are_refused(world: "World") -> None:
    client = world.client(Gather(seconds=NEVER))

    async def ask() -> None:
        await client.ask(body("a"))

    async def main(inner: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Another event loop waits for answers of this client"):
            await asyncio.to_thread(lambda: asyncio.run(inner()))  # type: ignore[arg-type]  # a coroutine function
        task.cancel()

    asyncio.run(main(ask))


def test_one_request_may_stand_in_a_vendors_form_with_its_own_id(world: "World") -> None:
    line = {"custom_id": "mine", "params": {**body("a"), "model": "claude-haiku-4-5"}}

    async def main() -> Result:
        async with world.client(Gather(count=1)) as client:
            return await client.ask(line)

    answer = asyncio.run(main())
    assert (answer.custom_id, answer.endpoint, answer.text == "") == ("mine", "/v1/messages", False)


def test_a_request_that_is_no_json_is_refused_and_not_quoted(world: "World") -> None:
    with pytest.raises(ValueError, match=r"^The request holds text that UTF-8 has no bytes for\.$") as raised:
        asyncio.run(world.client().ask(body("secret \udc80")))
    assert raised.value.__suppress_context__
