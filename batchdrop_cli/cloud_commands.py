"""The commands about clouds and providers: the cloud on this machine, keys, limits, and the two shows of it all."""

from pathlib import Path
from typing import Annotated

from batchdrop.providers.config import load_providers
from cyclopts import Parameter

from batchdrop_cli import demo as whole_demo
from batchdrop_cli import headroom, local, smoke
from batchdrop_cli.cloud import Where, find_cloud, in_folder
from batchdrop_cli.exit_codes import OK
from batchdrop_cli.job_commands import say_json
from batchdrop_cli.keys import check_key, find_provider, need_real, read_key, say_keys, set_key, stored_keys
from batchdrop_cli.options import ANYWHERE, AsJson, ProvidersFile
from batchdrop_cli.say import say
from batchdrop_cli.state_dir import find_state_dir, remember_state_dir

StateDir = Annotated[Path | None, Parameter(help="Where its state lies; .local or the last one if left out.")]


def local_up(  # noqa: PLR0913 - each is an option of the command
    *,
    as_json: AsJson = False,
    openai_base_url: Annotated[str | None, Parameter(help="Another server for OpenAI's API.")] = None,
    anthropic_base_url: Annotated[str | None, Parameter(help="Another server for Anthropic's API.")] = None,
    providers_file: Annotated[
        Path | None,
        Parameter(help="Another providers.toml, kept for the next `local up`. The simulator stands for all."),
    ] = None,
    real: Annotated[
        bool,
        Parameter(
            negative="", help="The vendors' own servers: paid. Keys from OPENAI_API_KEY and ANTHROPIC_API_KEY, if set."
        ),
    ] = False,
    state_dir: StateDir = None,
) -> int:
    """Start it, with the provider simulator, and deploy the stack into it. It stays up; a restart loses nothing.

    Example: batchdrop local up
    """
    folder = find_state_dir(state_dir)
    found, was_up = local.up(
        folder,
        openai_base_url=openai_base_url,
        anthropic_base_url=anthropic_base_url,
        providers_file=providers_file or local.kept_providers(folder),
        real=real,
    )
    remember_state_dir(folder)
    local.say_up(found, as_json=as_json, was_up=was_up, options=in_folder(state_dir))
    return OK


def local_down(
    *,
    keep_keys: Annotated[bool, Parameter(negative="", help="Keep real providers' keys, too.")] = False,
    state_dir: StateDir = None,
) -> int:
    """Stop it. Its state stays in the folder, for the next `local up`; keys of real providers are forgotten.

    Example: batchdrop local down
    """
    stopped = local.down(find_state_dir(state_dir), keeps_keys=keep_keys)
    kept = (
        "its state is kept, real providers' keys too"
        if keep_keys
        else "its state is kept, real providers' keys are not"
    )
    say(f"The local cloud is down; {kept}." if stopped else "No local cloud was up.")
    return OK


def keys_set(
    provider: Annotated[str, Parameter(help="A name from providers.toml, such as openai.")],
    /,
    *,
    unchecked: Annotated[bool, Parameter(negative="", help="Store it without asking the provider.")] = False,
    where: Where = ANYWHERE,
    providers_file: ProvidersFile = None,
) -> int:
    """Write a provider's key into Secrets Manager. It is asked for and not shown, or read from a pipe.

    The provider is asked for its batches with it first, which is free: a key that it refuses is not stored.

    Example: batchdrop keys set openai
    """
    cloud = find_cloud(where)
    known = load_providers(providers_file or cloud.providers_file)
    config = find_provider(provider, known, str(providers_file or cloud.whose_providers))
    need_real(cloud, provider, config)
    key = read_key(provider)
    if not unchecked:
        check_key(provider, config, key)
    new = set_key(cloud, config.secret, key)
    say(f"{'Created' if new else 'Updated'} the secret {config.secret} ({cloud.title}).")
    return OK


def keys_list(*, as_json: AsJson = False, where: Where = ANYWHERE, providers_file: ProvidersFile = None) -> int:
    """Show which providers have a key, and since when. No key is shown.

    Example: batchdrop keys list
    """
    cloud = find_cloud(where)
    stored = stored_keys(cloud, load_providers(providers_file or cloud.providers_file))
    say_json(stored) if as_json else say_keys(stored)
    return OK


def providers(*, as_json: AsJson = False, providers_file: ProvidersFile = None, where: Where = ANYWHERE) -> int:
    """Show the providers: which are paused and why, and how much of their limits is taken.

    Example: batchdrop providers
    """
    cloud = find_cloud(where)
    shown = headroom.shown_providers(cloud, load_providers(providers_file or cloud.providers_file))
    say_json(shown) if as_json else headroom.say_providers(shown)
    return OK


def demo(*, state_dir: StateDir = None) -> int:
    """Show the whole path on this machine: a local cloud, a file of real text, answers of both providers. Free.

    Example: batchdrop demo
    """
    return whole_demo.run(find_state_dir(state_dir))


def smoke_paid(
    *,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    state_dir: Annotated[Path, Parameter(help="A local cloud's folder, of its own.")] = smoke.STATE_DIR,
) -> int:
    """Send six requests to the real providers, with your keys: PAID, well under a cent. It asks first.

    The keys are OPENAI_API_KEY and ANTHROPIC_API_KEY of the environment. It starts a local cloud of its own with
    --real, drops six short lines, waits (minutes, at most a day), checks the answers, and stops that cloud. Those who
    wrote batchdrop had no keys: this command has never been run against the real providers.

    Example: batchdrop smoke-paid
    """
    return smoke.run(state_dir, asked=yes)
