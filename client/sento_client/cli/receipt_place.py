"""Where this computer's receipts are, for commands that ask no site."""

from __future__ import annotations

import sys
from pathlib import Path

from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.config import ClientConfig, load_config
from sento_client.governing.trust_file import trust_path
from sento_client.opening import open_trust_file
from sento_client.outbox.shelf import Belongs
from sento_client.receipts.store import ReceiptStore, StoreLook, look, store_path
from sento_client.setup_errors import SetupError


def receipts_look(config: ClientConfig) -> StoreLook | None:
    """How the store stands; None where there is none."""
    return look(store_path(receipts_directory(config), config.institution))


def config_of(app: App) -> ClientConfig:
    """The configuration; an error in it ends the command."""
    try:
        return load_config(app.config)
    except SetupError as error:
        app.show_error(error)
        sys.exit(Exit.USAGE)


def open_store(app: App, config: ClientConfig) -> ReceiptStore | None:
    """The store, open; None where there is none yet. An error ends the command."""
    directory = receipts_directory(config)
    if not store_path(directory, config.institution).exists():
        return None
    try:
        genesis = open_trust_file(config.genesis, trust_path(config)).genesis
        return ReceiptStore.open(directory, Belongs(genesis.ledger_id, config.institution))
    except SetupError as error:
        app.show_error(error)
        sys.exit(Exit.USAGE)


def receipts_directory(config: ClientConfig) -> Path:
    """Where this computer's receipts are."""
    return config.receipts or config.path.parent / "receipts"


def store_value(stands: StoreLook | None) -> dict[str, object] | None:
    """The store, for programs."""
    if stands is None:
        return None
    return {
        "path": str(stands.path),
        "receipts": stands.receipts,
        "checkpoints": stands.checkpoints,
        "size_bytes": stands.size_bytes,
        "trouble": stands.trouble,
    }
