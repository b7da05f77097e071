"""The commands about clouds and providers: the cloud on this machine, keys, limits, and the two shows of it all."""

from pathlib import Path
from typing import Annotated

from batchdrop.providers.config import load_providers
from cyclopts import Parameter

from batchdrop_cli import demo as whole_demo
from batchdrop_cli import headroom, local, smoke
from batchdrop_cli.cloud import Target, find_cloud, in_folder
from batchdrop_cli.exit_codes import OK
from batchdrop_cli.job_commands import say_json
from batchdrop_cli.keys import check_key, find_provider, need_real, read_key, say_keys, set_key, stored_keys
from batchdrop_cli.options import DEFAULT_TARGET, AsJson, ProvidersFile
from batchdrop_cli.say import say
from batchdrop_cli.state_dir import find_state_dir, need_own, own_state_dir, remember_state_dir

StateDir = Annotated[Path | None, Parameter(help="The folder of its state; default: .local, or the last one.")]


def local_up(  # noqa: PLR0913 - each is an option of the command
    *,
    as_json: AsJson = False,
    openai_base_url: Annotated[str | None, Parameter(metavar="URL", help="Another server for OpenAI's API.")] = None,
    anthropic_base_url: Annotated[
        str | None, Parameter(metavar="URL", help="Another server for Anthropic's API.")
    ] = None,
    providers_file: Annotated[
        Path | None,
        Parameter(help="Another providers.toml, kept for the next `local up`. The simulator replaces all its servers."),
    ] = None,
    real: Annotated[
        bool,
        Parameter(
            negative="", help="The vendors' own servers: paid. Keys from OPENAI_API_KEY and ANTHROPIC_API_KEY, if set."
        ),
    ] = False,
    state_dir: StateDir = None,
) -> int:
    folder = find_state_dir(state_dir)
    own_state_dir(folder)
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
    target: Target = DEFAULT_TARGET,
    providers_file: ProvidersFile = None,
) -> int:
    cloud = find_cloud(target)
    known = load_providers(providers_file or cloud.providers_file)
    config = find_provider(provider, known, str(providers_file or cloud.providers_source))
    need_real(cloud, provider, config)
    key = read_key(provider)
    if not unchecked:
        check_key(provider, config, key)
    new = set_key(cloud, config.secret, key)
    say(f"{'Created' if new else 'Updated'} the secret {config.secret} ({cloud.title}).")
    return OK


def keys_list(*, as_json: AsJson = False, target: Target = DEFAULT_TARGET, providers_file: ProvidersFile = None) -> int:
    cloud = find_cloud(target)
    stored = stored_keys(cloud, load_providers(providers_file or cloud.providers_file))
    say_json(stored) if as_json else say_keys(stored)
    return OK


def providers(*, as_json: AsJson = False, providers_file: ProvidersFile = None, target: Target = DEFAULT_TARGET) -> int:
    cloud = find_cloud(target)
    shown = headroom.shown_providers(cloud, load_providers(providers_file or cloud.providers_file))
    say_json(shown) if as_json else headroom.say_providers(shown)
    return OK


def demo(*, state_dir: StateDir = None) -> int:
    return whole_demo.run(find_state_dir(state_dir))


def smoke_paid(
    *,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    state_dir: Annotated[Path | None, Parameter(help=f"A local cloud's folder, of its own; {smoke.STATE_DIR}.")] = None,
) -> int:
    return smoke.run(state_dir or need_own(smoke.STATE_DIR), asked=yes)
