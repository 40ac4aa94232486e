"""`sento recovery`: holding the ceremony of a recovery key, and the files that go with it; shares and unlocking are in modules of their own."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.recovery_common import (
    NEW_PATH,
    READABLE,
    open_standing,
    refusals_shown,
    refuse_existing,
)
from sento_client.cli.recovery_share import share
from sento_client.cli.recovery_unlock import rehearse, unlock
from sento_client.pseudonym_service.key_file import read_keys
from sento_client.pseudonym_service.recovery_seals import read_seals
from sento_client.recovery.ceremony import (
    DEFAULT_THRESHOLD,
    Held,
    Plan,
    hold,
    with_registry_keys,
    with_sealed_keys,
)
from sento_client.recovery.ledger_copy import copy_lines
from sento_client.recovery.paper import check_words, page
from sento_client.recovery.proposal import Proposal, encode_proposal, read_proposal
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.secret_files import write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.governance.parts import Officer, read_officer
from sento_proto.recovery import SealedEntry
from sento_proto.strict_json import load
from sento_proto.wire import Malformed

OFFICERS_FORMAT = "sento-officers-1"
PROPOSAL_NAME = "proposal.json"


@click.group(short_help="Recovery keys: ceremony, shares, rehearsal, unlock.")
def recovery() -> None:
    """Recovery keys, which a threshold of officers opens together after a disaster.

    Each year officers hold a ceremony on a computer without network: a new key is made, cut into shares and thrown away. Each officer and the deputy get one
    share, sealed. Authors seal their keys to the new one. After a disaster, an act of the officers and a threshold of shares open the keys of named registries.

    \b
    In the order of a year:
        sento recovery ceremony --ledger genesis.json --name 2027 --out ceremony-2027
        sento recovery share open --proposal ceremony-2027/proposal.json --holder NAME --key seal.key --out NAME.share
        sento recovery copy --out recovery.copy
        sento recovery rehearse --copy recovery.copy --share A.share --share B.share --share C.share
        sento recovery unlock --copy recovery.copy --registry health --epoch 1 --share A.share --share B.share --share C.share --out unlocked
    """


@recovery.command()
@click.option(
    "--ledger", "genesis_path", type=READABLE, required=True, metavar="FILE", help="The genesis file."
)
@click.option(
    "--name", required=True, metavar="YEAR", help="The key's name, as a rule the year from which it is used."
)
@click.option(
    "--threshold",
    type=int,
    default=DEFAULT_THRESHOLD,
    show_default=True,
    help="How many shares open it; more than half.",
)
@click.option(
    "--officers",
    "officers_path",
    type=READABLE,
    metavar="FILE",
    help="Officers in office now, when they are not those of the genesis file.",
)
@click.option(
    "--registry-keys",
    "keys_path",
    type=READABLE,
    metavar="FILE",
    help="pseudonym-keys.json of the pseudonym service, to be sealed to the key.",
)
@click.option("--reason", metavar="TEXT", help="What the act says; by default which key is set.")
@click.option("--out", type=NEW_PATH, required=True, metavar="DIR", help="A new directory for the proposal.")
@click.option(
    "--paper",
    type=NEW_PATH,
    metavar="DIR",
    help="A new directory for pages with the shares in words. Secret; only for printing.",
)
@pass_app
def ceremony(
    app: App, genesis_path: Path, name: str, threshold: int, officers_path: Path | None, keys_path: Path | None,
    reason: str | None, out: Path, paper: Path | None,
) -> None:  # fmt: skip
    """Make a recovery key, share it out, and throw it away; on a computer without network.

    What comes out is a proposal for the officers: an act, and every share sealed to its officer and the deputy. It is no secret. The key itself is nowhere: any
    THRESHOLD officers together can make it again, and nobody else.

    --officers is {"format": "sento-officers-1", "officers": [...]}, each as in the genesis file: name, key, seal_key, and deputy where there is one.

    \b
    Example:
        sento recovery ceremony --ledger genesis.json --name 2027 --threshold 3 --out ceremony-2027 --paper /media/ramdisk/pages
    """
    for path in (out, *([paper] if paper else [])):
        refuse_existing(path)
    with refusals_shown(app):
        genesis = _genesis(genesis_path)
        officers = _officers(officers_path, genesis)
        held = hold(Plan(genesis.ledger_id, name, threshold, officers), secrets.token_bytes)
        payload = held.payload
        if keys_path is not None:
            payload = with_registry_keys(
                genesis.ledger_id, payload, held.ceremony.public_key, read_keys(keys_path)
            )
        why = reason or f"Recovery key {name}, opened by {held.ceremony.threshold_words} officers."
        proposal = Proposal(genesis.ledger_id, genesis.name, why, held.ceremony, payload)
        out.mkdir(mode=0o700)
        (out / PROPOSAL_NAME).write_bytes(encode_proposal(proposal))
        pages = _write_pages(paper, genesis, officers, held) if paper is not None else 0
    value = {
        "recovery_key": name,
        "ceremony": held.ceremony.ceremony_id.hex(),
        "threshold": threshold,
        "proposal": str(out / PROPOSAL_NAME),
        "payload_bytes": len(payload.encode()),
        "pages": pages,
        "shares": [
            {"index": one.number, "officer": one.officer, "check_words": check_words(one.commitment)}
            for one in held.ceremony.shares
        ],
    }
    app.show(value, lambda console: _say_what_next(console, proposal, out / PROPOSAL_NAME, paper, pages))


def _say_what_next(console: Console, proposal: Proposal, path: Path, paper: Path | None, pages: int) -> None:
    one = proposal.ceremony
    console.print(
        f"Recovery key {one.name} of {proposal.ledger_name}: {one.threshold_words} shares open it.",
        markup=False,
    )
    for committed in one.shares:
        words = " ".join(check_words(committed.commitment))
        console.print(f"  share {committed.number}, {committed.officer}: check words {words}", markup=False)
    console.print(
        "The key is thrown away. Its shares are in the proposal, sealed; the proposal is no secret."
    )
    if paper is not None:
        console.print(
            f"{pages} pages are in {paper}. THEY ARE SECRET: print them here, then destroy the directory.",
            markup=False,
        )
    steps = (
        f"Take {path} to each officer and deputy. Each opens the own share before anybody signs:",
        f"    sento recovery share open --proposal {path.name} --holder NAME --key seal.key --out NAME.share",
        "Unless it was done here: whoever keeps the pseudonym keys seals them to this key, also before anybody signs:",
        f"    sento pseudonyms seal --service pseudonyms.toml --to {path.name} --out sealed.json",
        f"    sento recovery registry-keys {path.name} --seals sealed.json",
        "Officers sign and submit the act (sento govern). From then on authors seal new keys to it, and reseal those they have (sento keys reseal).",
        "When they have: rehearse (sento recovery rehearse). Until a rehearsal is in order, keep the former key's shares.",
        "Destroy this computer's memory and disk copies as the runbook says.",
    )
    number = 0
    for step in steps:
        number += not step.startswith(" ")
        console.print(step if step.startswith(" ") else f"{number}. {step}", markup=False)


def _genesis(path: Path) -> Genesis:
    try:
        return decode_genesis(path.read_bytes())
    except OSError as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{path}: {error.strerror}") from None
    except Malformed as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{path}: {error}") from None


def _officers(path: Path | None, genesis: Genesis) -> tuple[Officer, ...]:
    if path is None:
        return tuple(genesis.officers.people.values())
    try:
        fields = load(path.read_bytes(), "officers")
        fields.choice("format", (OFFICERS_FORMAT,))
        officers = fields.objects("officers", read_officer)
        fields.end()
    except OSError as error:
        raise RecoveryRefused(Refusal.FILE_INVALID, f"{path}: {error.strerror}") from None
    except Malformed as error:
        raise RecoveryRefused(Refusal.FILE_INVALID, f"{path}: {error}") from None
    return officers


def _write_pages(directory: Path, genesis: Genesis, officers: tuple[Officer, ...], held: Held) -> int:
    directory.mkdir(mode=0o700)
    pages = 0
    for one, officer in zip(held.shares, officers, strict=True):
        holders = [("officer", officer.name)] + ([("deputy", officer.deputy.name)] if officer.deputy else [])
        for role, holder in holders:
            # Names of people stay out of file names: directories are listed, backed up and logged.
            text = page(genesis.name, genesis.ledger_id, held.ceremony, holder, one)
            write_secret(directory / f"share-{one.index}-{role}.txt", text.encode())
            pages += 1
    return pages


@recovery.command("registry-keys")
@click.argument("proposal_path", type=READABLE, metavar="PROPOSAL")
@click.option("--keys", "keys_path", type=READABLE, metavar="FILE", help="pseudonym-keys.json.")
@click.option(
    "--seals",
    "seals_path",
    type=READABLE,
    metavar="FILE",
    help="What the pseudonym service sealed by itself (sento pseudonyms seal --to PROPOSAL); the keys do not leave it.",
)
@pass_app
def registry_keys(app: App, proposal_path: Path, keys_path: Path | None, seals_path: Path | None) -> None:
    """Seal the registries' pseudonym and index keys to the recovery key of PROPOSAL, before officers sign it.

    Without them nobody could be found after a recovery. Done by whoever keeps these keys; it needs no share and shows no key. The proposal is changed in its
    place, so signatures made over it before are void.

    \b
    Examples:
        sento pseudonyms seal --service pseudonyms.toml --to ceremony-2027/proposal.json --out sealed.json
        sento recovery registry-keys ceremony-2027/proposal.json --seals sealed.json
        sento recovery registry-keys ceremony-2027/proposal.json --keys pseudonym-keys.json
    """
    if (keys_path is None) == (seals_path is None):
        raise click.UsageError("Name --seals or --keys, one of them.")
    with refusals_shown(app):
        proposal = read_proposal(proposal_path)
        if keys_path is not None:
            keys = read_keys(keys_path)
            registries = sorted({name.registry for name in keys})
            payload = with_registry_keys(
                proposal.ledger_id, proposal.payload, proposal.ceremony.public_key, keys
            )
        if seals_path is not None:
            sealed = _fitting_seals(seals_path, proposal)
            registries = sorted({entry.name for entry in sealed})
            payload = with_sealed_keys(proposal.payload, sealed)
        changed = Proposal(
            proposal.ledger_id, proposal.ledger_name, proposal.reason, proposal.ceremony, payload
        )
        beside = proposal_path.with_name(f".{proposal_path.name}.{secrets.token_hex(8)}")
        beside.write_bytes(encode_proposal(changed))
        beside.replace(proposal_path)
    app.show(
        {"proposal": str(proposal_path), "registries": registries, "payload_bytes": len(payload.encode())},
        lambda console: console.print(
            f"Sealed to recovery key {proposal.ceremony.name}: keys of {', '.join(registries)}.", markup=False
        ),
    )


def _fitting_seals(path: Path, proposal: Proposal) -> list[SealedEntry]:
    sealed = read_seals(path)
    mistakes = sealed.mistakes(proposal.ledger_id, proposal.ceremony.public_key)
    if mistakes:
        raise RecoveryRefused(Refusal.CEREMONY_UNFIT, *(f"{path}: {mistake}" for mistake in mistakes))
    return [entry for entry, _ in sealed.entries]


@recovery.command("copy")
@click.option("--out", type=NEW_PATH, required=True, metavar="FILE", help="A new file.")
@pass_app
def copy_command(app: App, out: Path) -> None:
    """Copy what recovery needs of the ledger into one file, for a computer without network.

    Ceremonies, unlock acts, KEK seals, and which scopes have records: all of it public, none of it readable without a threshold of shares.

    \b
    Example:
        sento recovery copy --out recovery.copy
    """
    refuse_existing(out)
    with refusals_shown(app):
        standing = open_standing(app, None)
        beside = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
        lines = 0
        try:
            with beside.open("xb") as file:
                for line in copy_lines(standing):
                    file.write(line)
                    lines += 1
                file.flush()
                os.fsync(file.fileno())
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    app.show(
        {"copy": str(out), "lines": lines},
        lambda console: console.print(f"{out}: {lines} lines. It is no secret.", markup=False),
    )


for command in (share, rehearse, unlock):
    recovery.add_command(command)
