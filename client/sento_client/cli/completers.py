"""What the shell may complete: names out of the configuration and the genesis file, and error codes.

Completion must be quick and silent: what cannot be read completes to nothing. No site is asked and no key file is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from sento_client.config import ClientConfig, load_config
from sento_client.setup_errors import Setup, SetupError
from sento_proto.errors import Code
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.wire import Malformed


def complete_site(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Sites of the configuration."""
    config = _config(ctx)
    return [] if config is None else _matching([site.name for site in config.sites], incomplete)


def complete_registry(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Registries that the institution may write or read."""
    config = _config(ctx)
    genesis = None if config is None else _genesis(config.genesis)
    if config is None or genesis is None:
        return []
    scopes = [
        scope for author in genesis.authors if author.name == config.institution for scope in author.may_write
    ]
    scopes += [
        scope for reader in genesis.readers if reader.name == config.institution for scope in reader.may_read
    ]
    return _matching(sorted({scope.registry for scope in scopes}), incomplete)


def complete_code(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Error codes."""
    return _matching([*Code.__members__, *Setup.__members__], incomplete.upper())


def _matching(names: Sequence[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _config(ctx: click.Context) -> ClientConfig | None:
    path = ctx.find_root().params.get("config")
    try:
        return load_config(path) if isinstance(path, Path) else None
    except SetupError:
        return None


def _genesis(path: Path) -> Genesis | None:
    try:
        return decode_genesis(path.read_bytes())
    except (OSError, Malformed):
        return None
