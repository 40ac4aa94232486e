"""`sento-node rebuild`: an operator asks a stopped site for a new ledger. It leaves a note; the next start does the work (`rebuild/`).

Exit codes: 0 asked, 2 it could not be: the configuration is not usable, the site runs, or there is nobody to copy from.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from sento_node.config import load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.ledger.lmdb_files import LedgerNotOpened, lock_directory
from sento_node.preflight import load_genesis
from sento_node.rebuild.places import Asked, Places

EXIT_ASKED, EXIT_MISTAKE = 0, 2
FROM_NOTHING_ATTEMPT = 2
"""A second attempt keeps nothing (`deciding.decide_start`)."""


def ask(config_path: Path, reason: str, *, from_nothing: bool) -> int:
    """Leave the note and say what happens next. Returns the exit code."""
    try:
        config = load_config(config_path)
        genesis = load_genesis(config)
        if len(genesis.sites) < 2:
            raise ConfigMistake(
                f"ledger {genesis.name} has no other site, so there is nobody to copy the ledger from (runbook: rebuild)."
            )
        places = Places(config.data_dir)
        if places.ledger.exists():
            os.close(lock_directory(places.ledger))
        places.ask(Asked(reason, FROM_NOTHING_ATTEMPT if from_nothing else 1))
    except (ConfigMistake, LedgerNotOpened, OSError) as error:
        click.echo(f"sento-node: {error}", err=True)
        return EXIT_MISTAKE
    kept = (
        "nothing of the old one is kept"
        if from_nothing
        else "what verifies up to its last agreed size is kept"
    )
    click.echo(
        f"{config.site} makes its ledger anew when it starts; {kept}, and all of the old one is set aside in {config.data_dir}."
    )
    return EXIT_ASKED
