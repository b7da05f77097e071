import msgspec

from batchdrop_cli.answers import Line
from batchdrop_cli.demo import FILE, question, some_answers


def line(number: int, provider: str, endpoint: str) -> Line:
    body = {
        "/v1/chat/completions": {"choices": [{"message": {"content": "yes"}}]},
        "/v1/messages": {"content": [{"type": "text", "text": "yes"}]},
        "/v1/embeddings": {"data": []},
    }[endpoint]
    values = {"line": number, "custom_id": None, "model": "m", "provider": provider, "endpoint": endpoint}
    return msgspec.json.decode(msgspec.json.encode({**values, "response": {"body": body}, "error": None}), type=Line)


def test_the_demo_shows_three_answers_of_each_provider_in_order() -> None:
    lines = [
        line(1, "openai", "/v1/embeddings"),
        *(line(number, "openai", "/v1/chat/completions") for number in range(2, 7)),
        *(line(number, "anthropic", "/v1/messages") for number in range(7, 9)),
    ]
    assert [each.line for each in some_answers(lines)] == [2, 3, 4, 7, 8]


def test_every_question_of_the_example_can_be_shown() -> None:
    questions = [question(line) for line in FILE.read_bytes().splitlines()]
    assert len(questions) == 300
    assert all(len(each) > 20 for each in questions)
