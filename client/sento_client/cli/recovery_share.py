"""`sento recovery share`: what one officer or deputy does with the own share: open it, put it on paper, read it back from paper."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.parameters import INPUT_FILE, read_input
from sento_client.cli.prompts import person_to_ask
from sento_client.cli.recovery_common import (
    NEW_PATH,
    READABLE,
    copy_option,
    open_known,
    proposal_option,
    refusals_shown,
    refuse_existing,
)
from sento_client.config import load_config
from sento_client.keyfiles import read_seal_opener
from sento_client.recovery.held_shares import open_share
from sento_client.recovery.paper import WORDS, check_words, page, share_of_words
from sento_client.recovery.reconstruct import ceremony_of
from sento_client.recovery.share_files import read_share, write_share
from sento_client.recovery.standing import Ceremony
from sento_client.secret_files import write_secret
from sento_client.signers.opening import KeySource
from sento_client.signers.passphrases import passphrase_source
from sento_proto.recovery import RecoveryShare
from sento_proto.seal import SealOpener

_WORDS_MAX_BYTES = 4_096


@click.group(short_help="Open, print or read back one's own share.")
def share() -> None:
    """One's own share: out of its seal, onto paper, and back from paper. A share is secret; one alone opens nothing."""


@share.command("open")
@proposal_option
@copy_option
@click.option("--recovery-key", metavar="NAME", help="Which key; by default the newest.")
@click.option(
    "--holder", required=True, metavar="NAME", help="Officer or deputy, as the ceremony named them."
)
@click.option(
    "--key",
    "key_path",
    type=READABLE,
    metavar="FILE",
    help="The holder's own seal key; by default the one of the configuration, which may be on a token.",
)
@click.option(
    "--out", type=NEW_PATH, required=True, metavar="FILE", help="A new file for the share, mode 0600."
)
@pass_app
def open_command(
    app: App, proposal_path: Path | None, copy_path: Path | None, recovery_key: str | None, holder: str, key_path: Path | None, out: Path
) -> None:  # fmt: skip
    """Take one's own share out of its seal, and check it against the act.

    Do it before you sign the act of a ceremony: a share that does not open then is found while the ceremony can be repeated.

    \b
    Example:
        sento recovery share open --proposal proposal.json --holder "Sato Akira" --key seal.key --out sato.share
    """
    refuse_existing(out)
    with refusals_shown(app):
        known = open_known(app, copy_path, proposal_path)
        standing = known.named(recovery_key)
        opened = open_share(known.ledger_id, standing, holder, _opener(app, key_path))
        write_share(out, opened)
    _say(
        app,
        opened,
        standing.ceremony,
        out,
        "This is your share. Keep the file where nobody else can read it, or put it on paper and destroy it.",
    )


@share.command("words")
@proposal_option
@copy_option
@click.option(
    "--share", "share_path", type=READABLE, required=True, metavar="FILE", help="One's own share file."
)
@click.option("--holder", default="", metavar="NAME", help="Whose name stands on the page.")
@click.option(
    "--paper",
    type=NEW_PATH,
    metavar="FILE",
    help="Write the page for printing here, instead of on the terminal.",
)
@pass_app
def words_command(
    app: App, proposal_path: Path | None, copy_path: Path | None, share_path: Path, holder: str, paper: Path | None
) -> None:  # fmt: skip
    """Show one's own share as a page of words to print or write down by hand.

    Words go to a terminal or into the file that --paper names, never into a pipe, and never as JSON: both are kept in places that nobody thinks of.

    \b
    Example:
        sento recovery share words --proposal proposal.json --share sato.share --holder "Sato Akira" --paper page.txt
    """
    if paper is not None:
        refuse_existing(paper)
    elif app.as_json or not sys.stdout.isatty():
        raise click.UsageError("A share's words go to a terminal or to --paper FILE, and nowhere else.")
    with refusals_shown(app):
        known = open_known(app, copy_path, proposal_path)
        mine = read_share(share_path)
        ceremony = ceremony_of([mine], known.ceremonies).ceremony
        committed = ceremony.share(mine.index)
        text = page(
            known.ledger_name,
            known.ledger_id,
            ceremony,
            holder or (committed.officer if committed else ""),
            mine,
        )
        if paper is not None:
            write_secret(paper, text.encode())
    if paper is None:
        click.echo(text)
    else:
        _say(app, mine, ceremony, paper, "This page is the share. Print it here, then destroy the file.")


@share.command("from-words")
@proposal_option
@copy_option
@click.option(
    "--words-file",
    type=INPUT_FILE,
    metavar="FILE",
    help="File with the words, - for standard input. Without it you are asked.",
)
@click.option(
    "--out", type=NEW_PATH, required=True, metavar="FILE", help="A new file for the share, mode 0600."
)
@pass_app
def from_words(
    app: App, proposal_path: Path | None, copy_path: Path | None, words_file: Path | None, out: Path
) -> None:  # fmt: skip
    """Make a share file of the words on paper, and check it against the act.

    Capitals do not matter, nor line ends, nor the page's numbering; the first four letters of a word are enough. A mistake is told by its place, never by
    the word.

    \b
    Example:
        sento recovery share from-words --copy recovery.copy --out sato.share
    """
    refuse_existing(out)
    if words_file is not None:
        data = read_input(words_file, _WORDS_MAX_BYTES)
    elif sys.stdin.isatty():
        data = str(click.prompt(f"The {WORDS} words, in one line", err=True)).encode()
    else:
        raise click.UsageError("There is no terminal to ask for the words: name a --words-file.")
    with refusals_shown(app):
        known = open_known(app, copy_path, proposal_path)
        ceremonies = [one.ceremony for one in known.ceremonies]
        read = share_of_words(data.decode("utf-8", "replace"), ceremonies)
        write_share(out, read)
    _say(
        app,
        read,
        ceremony_of([read], known.ceremonies).ceremony,
        out,
        "The words are right. Destroy the file when it has been used.",
    )


def _opener(app: App, key_path: Path | None) -> SealOpener:
    if key_path is None:
        return KeySource(load_config(app.config).keys, ask=person_to_ask()).seal_opener()
    return read_seal_opener(key_path, passphrase_source(os.environ, ask=person_to_ask()))


def _say(app: App, mine: RecoveryShare, ceremony: Ceremony, path: Path, advice: str) -> None:
    words = check_words(mine.commitment)
    value = {
        "recovery_key": ceremony.name,
        "ceremony": ceremony.ceremony_id.hex(),
        "index": mine.index,
        "threshold": ceremony.threshold,
        "check_words": words,
        "file": str(path),
    }
    lines = (
        f"{path}: share {mine.index} of recovery key {ceremony.words}, which {ceremony.threshold_words} shares open.",
        f"Check words: {' '.join(words)}. It is the share that the act commits to.",
        advice,
    )
    app.show(value, lambda console: console.print("\n".join(lines), markup=False))
