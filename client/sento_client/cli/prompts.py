"""Asking the person at the terminal for a passphrase or PIN, without showing it; only the command does this, never the library."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sento_client.client import SentoClient
from sento_client.opening import open_installation
from sento_client.signers.passphrases import Ask


def ask_hidden(what: str) -> str:
    """What was typed; the prompt goes to standard error, so that results stay alone on standard output."""
    return str(
        click.prompt(
            f"Passphrase or PIN for {what}", hide_input=True, err=True, default="", show_default=False
        )
    )


def person_to_ask() -> Ask | None:
    """None where nobody sits: in a pipe, a timer, a service."""
    return ask_hidden if sys.stdin.isatty() and sys.stderr.isatty() else None


def open_asking(path: Path) -> SentoClient:
    """`SentoClient.open`, with a person to ask where there is one."""
    return SentoClient(open_installation(path, ask=person_to_ask()))
