"""What the shell may complete behind `sento govern propose`: the names of changes, and then institutions, registries and sites of the genesis file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from sento_client.governing.shortcuts import FORMS
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.wire import Malformed


def complete_change(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The first word is a change's name, the others are names out of the genesis file. What cannot be read completes to nothing."""
    words = ctx.params.get("words") or ()
    names = list(FORMS) if not words else _names(ctx)
    return [name for name in names if name.startswith(incomplete)]


def _names(ctx: click.Context) -> list[str]:
    genesis = _genesis(ctx.find_root().params.get("config"))
    if genesis is None:
        return []
    institutions = {author.name for author in genesis.authors} | {reader.name for reader in genesis.readers}
    sites = {site.name for site in genesis.sites}
    return sorted(institutions | sites | set(genesis.registries) | {"write", "see", "read"})


def _genesis(config: object) -> Genesis | None:
    """The genesis file that the configuration names, an officer's or an institution's."""
    try:
        if not isinstance(config, Path):
            return None
        named = tomllib.loads(config.read_text(encoding="utf-8")).get("genesis", "")
        return decode_genesis((config.parent / str(named)).read_bytes())
    except (OSError, ValueError, Malformed):
        return None
