"""providers.toml."""

from pathlib import Path

import pytest
from batchdrop.errors import ConfigError
from batchdrop.providers.config import ProviderConfig, Providers, load_providers, parse_providers
from batchdrop.providers.headers import filled
from batchdrop.providers.limits import Limits
from batchdrop.records import Protocol

MINIMAL = """
[providers.mine]
protocol = "openai"
base_url = "https://mine/v1"
secret = "batchdrop/mine"
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_providers(text)
    return str(caught.value)


def test_a_provider_needs_a_protocol_an_address_and_a_secret() -> None:
    assert dict(parse_providers(MINIMAL)) == {
        "mine": ProviderConfig(
            protocol=Protocol.OPENAI,
            base_url="https://mine/v1",
            secret="batchdrop/mine",
            models=(),
            default=False,
            headers={},
            api_version=None,
            betas=(),
            limits=Limits(
                requests_per_batch=50_000,
                bytes_per_batch=90_000_000,
                enqueued_tokens=2_000_000,
                queued_requests=200_000,
            ),
            name="mine",
        )
    }


def test_the_projects_own_file_has_both_vendors(providers: Providers) -> None:
    assert [
        (each.name, each.protocol, each.base_url, each.secret, each.api_version) for each in providers.values()
    ] == [
        ("openai", Protocol.OPENAI, "https://api.openai.com/v1", "batchdrop/openai", None),
        ("anthropic", Protocol.ANTHROPIC, "https://api.anthropic.com", "batchdrop/anthropic", "2023-06-01"),
    ]


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o-mini", "openai"),
        ("o3", "openai"),
        ("o1-preview", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("ft:gpt-4o:org::id", "openai"),
        ("text-embedding-3-large", "openai"),
        ("omni-moderation-latest", "openai"),
        ("claude-haiku-4-5", "anthropic"),
        ("claude-3-5-sonnet-20241022", "anthropic"),
        ("ollama", None),
        ("my-gpt-4", None),
        ("", None),
    ],
)
def test_models_go_to_the_vendor_that_has_them(model: str, provider: str | None, providers: Providers) -> None:
    found, wire = providers.route(model)
    assert (found and found.name, wire) == (provider, model)


def test_any_number_of_models_may_be_asked_for(providers: Providers) -> None:
    for number in range(10_500):
        providers.route(f"model-{number}")
    assert providers.route("gpt-4o")[0] is providers["openai"]


DEFAULT = MINIMAL.replace("mine", "other") + "default = true\n"


def test_models_that_no_pattern_fits_go_to_the_default_with_their_whole_names() -> None:
    found = parse_providers(DEFAULT + MINIMAL + 'models = ["gpt-*"]')
    for model, provider, wire in [
        ("gpt-4o", "mine", "gpt-4o"),
        ("mistral-small", "other", "mistral-small"),
        ("meta-llama/Llama-3", "other", "meta-llama/Llama-3"),
        ("mine/meta-llama/Llama-3", "mine", "meta-llama/Llama-3"),
    ]:
        assert found.route(model) == (found[provider], wire)


def test_an_address_may_end_with_a_slash() -> None:
    assert parse_providers(MINIMAL.replace("/v1", "/v1/"))["mine"].base_url == "https://mine/v1"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8700/v1",
        "http://[::1]/v1",
        "http://localhost:4000",
        "http://10.1.2.3:8000/v1",
        "http://litellm",
        "http://litellm.prod.internal:4000",
        "https://203.0.113.7/v1",
        "https://api.groq.com/openai/v1",
    ],
)
def test_an_address_is_encrypted_or_private(address: str) -> None:
    assert parse_providers(MINIMAL.replace("https://mine/v1", address))["mine"].base_url == address


def test_headers_are_given_as_a_table() -> None:
    headers = """
    OpenAI-Organization = "org-1"
    x-portkey-provider = "@openai-prod"
    x-portkey-config = '{"retry": {"attempts": 3}}'
    api-key = "{key}"
    Cookie = "session={key}; path=/"
    """
    read = parse_providers(MINIMAL + "[providers.mine.headers]" + headers)["mine"].headers
    assert filled(read, "sk-1") == {
        "OpenAI-Organization": "org-1",
        "x-portkey-provider": "@openai-prod",
        "x-portkey-config": '{"retry": {"attempts": 3}}',
        "api-key": "sk-1",
        "Cookie": "session=sk-1; path=/",
    }


HEADERS = MINIMAL + "[providers.mine.headers]\n"
CLAUDE = MINIMAL.replace('"openai"', '"anthropic"').replace("/v1", "")
LIMITS = MINIMAL + "[providers.mine.limits]\n"
NO_TABLE = "needs at least one [providers.<name>] table"
PROTOCOLS = ': it is "openai" or "anthropic"'
NO_KEY_HERE = 'do not put keys in this file: store the key in the secret, and write "{key}" where it goes'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[providers.mine]\n[providers.mine]", "Cannot declare ('providers', 'mine') twice (at line 2, column 16)"),
        ("", NO_TABLE),
        ("[providers]", NO_TABLE),
        ("providers = 3", NO_TABLE),
        ("[[providers]]", NO_TABLE),
        ("[providers]\nmine = 3", "providers.mine: must be a table ([providers.mine])"),
        ("x = 1\n" + MINIMAL, "Object contains unknown field `x`; known are providers, folders, prices"),
        (MINIMAL + 'modles = ["x"]', "providers.mine: contains unknown field `modles`; did you mean models?"),
        ("[provider.mine]\n" + MINIMAL, "Object contains unknown field `provider`; did you mean providers?"),
        (
            LIMITS + "realtime-tokens = 1",
            "providers.mine.limits: contains unknown field `realtime-tokens`; did you mean realtime_tokens_per_minute?",
        ),
        (
            MINIMAL + '[[providers.mine.refusals]]\nkind = "size"\nword = "x"',
            "providers.mine.refusals[0]: contains unknown field `word`; did you mean words?",
        ),
        (
            MINIMAL + '[providers.mine.claude_models."*"]\nthinkings = []',
            "providers.mine.claude_models[...]: contains unknown field `thinkings`; did you mean thinking?",
        ),
        (MINIMAL + 'name = "x"', "providers.mine: contains unknown field `name`"),
        (MINIMAL.replace("secret", "#"), "providers.mine: missing required field `secret`"),
        (MINIMAL.replace("base_url", "#"), "providers.mine: missing required field `base_url`"),
        (MINIMAL.replace('"openai"', '"bedrock"'), f"providers.mine.protocol: Invalid enum value 'bedrock'{PROTOCOLS}"),
        (MINIMAL.replace('"openai"', "1"), f"providers.mine.protocol: Expected `str`, got `int`{PROTOCOLS}"),
        (MINIMAL + "models = [1]", "providers.mine.models[0]: Expected `str`, got `int`"),
        (MINIMAL + 'models = [""]', "providers.mine.models[0]: Expected `str` of length >= 1"),
        (MINIMAL + "default = 1", "providers.mine.default: Expected `bool`, got `int`"),
        (LIMITS + "per_day = 1", "providers.mine.limits: contains unknown field `per_day`"),
        (LIMITS + 'enqueued_tokens = "many"', "providers.mine.limits.enqueued_tokens: Expected `int`, got `str`"),
        (LIMITS + "enqueued_tokens = 0", "providers.mine.limits.enqueued_tokens: Expected `int` >= 1"),
        (LIMITS + "requests_per_batch = -1", "providers.mine.limits.requests_per_batch: Expected `int` >= 1"),
        (
            MINIMAL + 'api_version = "2023-06-01"',
            "providers.mine.api_version: only protocol anthropic has this key",
        ),
        (MINIMAL + 'betas = ["mcp-1"]', "providers.mine.betas: only protocol anthropic has this key"),
        (
            MINIMAL + 'completion_window = "7d"',
            "providers.mine.window_hours: batches would be cancelled 26 hours after their create, which asks for 168",
        ),
        (MINIMAL + 'completion_window = ""', "providers.mine.completion_window: Expected `str` matching regex"),
        (MINIMAL + "window_hours = 0", "providers.mine.window_hours: Expected `int` >= 1"),
        (MINIMAL + "window_hours = 673", "providers.mine.window_hours: Expected `int` <= 672"),
        (MINIMAL + "betas = []", "providers.mine.betas: only protocol anthropic has this key"),
        (
            LIMITS + "queued_requests = 9",
            "providers.mine.limits.queued_requests: only protocol anthropic has this key",
        ),
        (
            LIMITS.replace('"openai"', '"anthropic"').replace("/v1", "") + "enqueued_tokens = 9",
            "providers.mine.limits.enqueued_tokens: only protocol openai has this key",
        ),
        (
            MINIMAL + DEFAULT + MINIMAL.replace("mine", "third") + "default = true",
            "providers.third.default: providers.other is already the default",
        ),
        (
            DEFAULT + 'models = ["gpt-*"]' + MINIMAL + 'models = ["o1", "gpt-*"]',
            'providers.mine.models: "gpt-*" already goes to providers.other',
        ),
        (
            CLAUDE + CLAUDE.replace("[providers.mine]", "[providers.other]"),
            "providers.other.secret: providers.mine has it too, at the same base_url: ",
        ),
        (LIMITS + "batches_per_hour = 0", "providers.mine.limits.batches_per_hour: Expected `int` >= 1"),
        (HEADERS + '"x y" = "1"', "providers.mine.headers.x y: not the name of a header"),
        (HEADERS + 'x-a = "1"\nx-b = 2', "providers.mine.headers.x-b: Expected `str`, got `int`"),
        (HEADERS + 'x-a = ""', "providers.mine.headers.x-a: its value is not visible ASCII"),
        (HEADERS + 'x-a = "a\\nx-b: c"', "providers.mine.headers.x-a: its value is not visible ASCII"),
        (HEADERS + 'x-a = "ü"', "providers.mine.headers.x-a: its value is not visible ASCII"),
        (HEADERS + 'x-a = "1"\nX-A = "2"', "providers.mine.headers.x-a: is given twice"),
        (HEADERS + 'Authorization = "Bearer x"', f"providers.mine.headers.Authorization: {NO_KEY_HERE}"),
        (HEADERS + 'anthropic-version = "x"', "providers.mine.headers.anthropic-version: set `api_version` instead"),
        (HEADERS + 'Anthropic-Beta = "x"', "providers.mine.headers.Anthropic-Beta: set `betas` instead"),
        (HEADERS + 'Content-Type = "x"', "providers.mine.headers.Content-Type: each call sets it itself"),
        (HEADERS + 'Host = "x"', "providers.mine.headers.Host: each call sets it itself"),
        (
            HEADERS + 'X-Stainless-Raw-Response = "x"',
            "providers.mine.headers.X-Stainless-Raw-Response: each call sets ",
        ),
        (HEADERS + 'Idempotency-Key = "x"', "providers.mine.headers.Idempotency-Key: a server would take all calls"),
        (HEADERS + 'x-api-key = "sk-1"', f"providers.mine.headers.x-api-key: {NO_KEY_HERE}"),
        (HEADERS + 'x-portkey-api-key = "pk"', f"providers.mine.headers.x-portkey-api-key: {NO_KEY_HERE}"),
        (HEADERS + 'Cookie = "a=b"', f"providers.mine.headers.Cookie: {NO_KEY_HERE}"),
        (
            MINIMAL.replace("mine]", "Mine]"),
            "providers.Mine: a name must be lower-case letters, digits and '-', up to 32",
        ),
        (MINIMAL.replace("mine]", '"a/b"]'), "providers.a/b: a name must be"),
        (MINIMAL.replace("mine]", "a" * 33 + "]"), f"providers.{'a' * 33}: a name must be"),
    ],
)
def test_a_mistake_is_refused_with_the_file_and_the_key(text: str, said: str) -> None:
    found = refusal(text)
    assert found.startswith(f"providers.toml: {said}"), found


NO_ADDRESS = 'must be an address: "https://" and a host, without blanks'
READABLE = "http would send the key unencrypted: use it only on this machine and in private networks"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", NO_ADDRESS),
        ("api.mine.com/v1", NO_ADDRESS),
        ("ftp://mine/v1", NO_ADDRESS),
        ("https:///v1", NO_ADDRESS),
        ("https://mine /v1", NO_ADDRESS),
        ("https://[mine/v1", NO_ADDRESS),
        ("https://mine:http/v1", NO_ADDRESS),
        ("https://me:sk-1@mine/v1", "do not put keys in this file: store the key in the secret"),
        ("https://mine/v1?api-version=1", 'must end with its path: no "?" and no "#"'),
        ("https://mine/v1#", 'must end with its path: no "?" and no "#"'),
        ("http://api.mine.com/v1", READABLE),
        ("http://203.0.114.7/v1", READABLE),
    ],
)
def test_what_is_no_address_is_refused(address: str, said: str) -> None:
    found = refusal(MINIMAL.replace("https://mine/v1", address))
    assert found == f"providers.toml: providers.mine.base_url: {said}"


@pytest.mark.parametrize("address", ["https://mine/v1", "https://mine/anthropic/v1/"])
def test_an_address_of_the_protocol_anthropic_ends_before_the_version(address: str) -> None:
    found = refusal(MINIMAL.replace('"openai"', '"anthropic"').replace("https://mine/v1", address))
    assert found == 'providers.toml: providers.mine.base_url: leave out "/v1": the calls add it'


@pytest.mark.parametrize("secret", ["", "two words", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x"])
def test_a_secret_is_given_by_its_name(secret: str) -> None:
    assert refusal(MINIMAL.replace("batchdrop/mine", secret)).startswith("providers.toml: providers.mine.secret: ")


@pytest.mark.parametrize(
    ("line", "key"),
    [('api_version = "latest"', "api_version"), ('betas = ["a,b"]', "betas[0]"), ("betas = 1", "betas")],
)
def test_versions_and_betas_are_words_of_a_header(line: str, key: str) -> None:
    text = MINIMAL.replace('"openai"', '"anthropic"').replace("/v1", "")
    assert refusal(text + line).startswith(f"providers.toml: providers.mine.{key}: ")


def test_a_mistake_never_says_a_value_that_may_be_a_key() -> None:
    for text in (
        HEADERS + 'x-api-key = "sk-1"',
        MINIMAL.replace("https://", "https://sk-1@"),
        MINIMAL.replace("https://mine", "https://me:sk-1"),
    ):
        assert "sk-1" not in refusal(text)


def test_a_loaded_file_is_named_in_the_refusal_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[providers]", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_providers(path)
    assert str(refused.value) == f"{path}: {NO_TABLE}"


def test_a_file_that_is_no_text_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"# \xff")
    with pytest.raises(ConfigError) as refused:
        load_providers(path)
    assert str(refused.value) == f"{path}: not UTF-8: invalid start byte at byte 2"


@pytest.mark.parametrize(
    ("protocol", "address", "key", "most", "said"),
    [
        ("openai", "https://api.openai.com/v1", "requests_per_batch", 50_000, "api.openai.com takes 50,000 at most"),
        ("openai", "https://EU.api.openai.com/v1", "bytes_per_batch", 200_000_000, "eu.api.openai.com takes 200,000,0"),
        ("anthropic", "https://api.anthropic.com", "requests_per_batch", 100_000, "api.anthropic.com takes 100,000 at"),
        ("anthropic", "https://api.anthropic.com", "bytes_per_batch", 256_000_000, "api.anthropic.com takes 256,000"),
    ],
)
def test_a_batch_is_no_larger_than_its_vendor_takes(
    protocol: str, address: str, key: str, most: int, said: str
) -> None:
    text = LIMITS.replace('"openai"', f'"{protocol}"').replace("https://mine/v1", address)
    assert getattr(parse_providers(f"{text}{key} = {most}")["mine"].limits, key) == most
    assert refusal(f"{text}{key} = {most + 1}").startswith(f"providers.toml: providers.mine.limits.{key}: {said}")


def test_another_server_may_take_larger_batches() -> None:
    for address in ("https://mine/v1", "https://notopenai.com/v1"):
        text = LIMITS.replace("https://mine/v1", address) + "requests_per_batch = 1_000_000"
        assert parse_providers(text)["mine"].limits.requests_per_batch == 1_000_000


NO_ADDRESS = 'providers.mine.base_url: must be an address: "https://" and a host, without blanks'
NO_HOSTS = [
    "*",
    "",
    "[",
    "[::g]",
    "..",
    "a..b",
    "-a",
    "a-",
    "%41",
    "a:0",
    "a:99999",
    "a:b",
    "a" * 64,
    "a." * 127 + "a",
    "\u00fc.de",
]
NO_HOSTS += [
    "1.2.3.4.5",
    "999.1.1.1",
    "1.2.3",
    "$(host)",
    "{host}",
    "<resource>.openai.azure.com",
    "a,b",
    "a;b",
    "a b",
    "a\\b",
    "a\tb",
]


@pytest.mark.parametrize("host", NO_HOSTS)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_an_address_has_a_host_that_may_exist(scheme: str, host: str) -> None:
    assert refusal(MINIMAL.replace('"https://mine/v1"', f"'{scheme}://{host}/v1'")) == f"providers.toml: {NO_ADDRESS}"


@pytest.mark.parametrize("path", ["<deployment>", "{deployment}/v1", "v1%", "v1%2", "a|b", "a^b", "a`b"])
def test_an_address_that_is_still_to_be_filled_in_is_refused(path: str) -> None:
    said = "contains a character that no address has: was a placeholder left in it?"
    assert refusal(MINIMAL.replace("mine/v1", f"mine/{path}")) == f"providers.toml: providers.mine.base_url: {said}"


@pytest.mark.parametrize(
    "address", ["https://a_b.internal/v1", "https://xn--bcher-kva.example", "https://a.example./x%20y/~z"]
)
def test_an_odd_address_that_may_exist_is_taken(address: str) -> None:
    assert parse_providers(MINIMAL.replace("https://mine/v1", address))["mine"].base_url == address


NO_VERSION = 'must be a date such as "2023-06-01"'


@pytest.mark.parametrize(
    "version",
    ["", "0000-00-00", "2023-02-30", "2022-12-31", "9999-99-99", "2100-01-01", "latest", "2023-06-01\\n", "2023-W22-4"],
)
def test_an_api_version_is_a_day_of_which_there_may_be_one(version: str) -> None:
    assert refusal(CLAUDE + f'api_version = "{version}"') == f"providers.toml: providers.mine.api_version: {NO_VERSION}"


NO_SECRET = "must be the name of a secret: letters, digits and /_+=.@-, up to 512"
NO_BETA = "must be the name of a beta: visible ASCII without a comma, up to 100 characters"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINIMAL + "models = " + "[" * 100_000, "nested too deeply to be read"),
        (MINIMAL + "headers = " + "{a=" * 5_000, "nested too deeply to be read"),
        (MINIMAL.replace("batchdrop/mine", "batchdrop/mine\\n"), f"providers.mine.secret: {NO_SECRET}"),
        (MINIMAL.replace("batchdrop/mine", "s" * 513), f"providers.mine.secret: {NO_SECRET}"),
        (CLAUDE + 'betas = ["a", "b\\n"]', f"providers.mine.betas[1]: {NO_BETA}"),
        (CLAUDE + f'betas = ["{"b" * 101}"]', f"providers.mine.betas[0]: {NO_BETA}"),
        (CLAUDE + f"betas = {['b'] * 51}", "providers.mine.betas: Expected `array` of length <= 50"),
        (MINIMAL + f'models = ["{"m" * 257}"]', "providers.mine.models[0]: Expected `str` of length <= 256"),
        (
            LIMITS + f"bytes_per_batch = {10**12 + 1}",
            f"providers.mine.limits.bytes_per_batch: Expected `int` <= {10**12}",
        ),
        (LIMITS + f"bytes_per_batch = {10**400}", f"providers.mine.limits.bytes_per_batch: Expected `int` <= {10**12}"),
        (LIMITS + "bytes_per_batch = inf", "providers.mine.limits.bytes_per_batch: Expected `int`, got `float`"),
        (
            HEADERS + f"x-a = '{'a' * 4_001}'",
            "providers.mine.headers.x-a: its value is not visible ASCII, up to 4,000 characters",
        ),
        (HEADERS + f"x-{'a' * 99} = 'b'", f"providers.mine.headers.x-{'a' * 99}: not the name of a header"),
    ],
    ids=lambda value: value[-20:],
)
def test_a_malformed_value_of_any_size_is_named_by_its_key(text: str, said: str) -> None:
    assert refusal(text) == f"providers.toml: {said}"


@pytest.mark.parametrize(
    "text", ["\0", "\ufeff" + MINIMAL, "x = " + "9" * 5_000, "[" * 100_000, f"{'k' * 100_000} = 1", "x = [" * 9_000]
)
def test_what_is_no_toml_is_refused_in_few_words(text: str) -> None:
    assert len(refusal(text).encode()) <= 1_000


KEYS = [
    *ProviderConfig.__struct_fields__,
    *(f"limits.{key}" for key in Limits.__struct_fields__),
    "headers.x-a",
    "headers",
]
VALUES = [
    "true",
    "-1",
    "0",
    "1.5",
    "inf",
    "nan",
    "''",
    "'\u00fc'",
    "[]",
    "[[]]",
    "[1]",
    "['']",
    "[{}]",
    "{}",
    "{a = {}}",
    "{a = 1}",
    "1e400",
]
VALUES += [
    "2023-06-01",
    "07:00:00",
    "9223372036854775808",
    "'*'",
    "['[', '*[!', '']",
    "[" * 500 + "]" * 500,
    "{'' = ''}",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_any_value_of_any_key_is_read_or_refused(protocol: str, key: str) -> None:
    written = {"protocol": f"'{protocol}'", "base_url": "'https://mine'", "secret": "'s'"}
    for value in VALUES:
        lines = [f"{name} = {each}" for name, each in (written | {key: value}).items()]
        text = "\n".join(["[providers.mine]", *lines])
        try:
            parse_providers(text)
        except ConfigError as error:
            said = str(error)
        else:
            continue
        assert said.startswith("providers.toml: "), value
        assert len(said) < 600, value
