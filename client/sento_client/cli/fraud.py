"""`sento fraud`: proofs that a site signed what cannot be true; verified from a file alone, and those that this computer found."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.terminal import printable
from sento_client.config import load_config
from sento_client.governing.trust_file import decode_trust_alone, trust_path
from sento_client.opening import open_trust_file
from sento_client.receipts.fraud_files import read_frauds
from sento_client.setup_errors import Setup, SetupError
from sento_proto.errors import SentoError
from sento_proto.fraud import FRAUD_MAX_BYTES, Fraud, KnownSites, NotProven, verify_fraud
from sento_proto.genesis import decode_genesis
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.limits import GENESIS_MAX_BYTES
from sento_proto.wire import Malformed

_FILE = click.Path(dir_okay=False, path_type=Path)
_TRUST_MAX_BYTES = 256 * 1024 * 1024
MEANING = (
    "What is shown is what was signed, not why: a stolen key or a disk that was rolled back unseen signs as a liar does. "
    "Give the file to the officers; they decide about the site."
)


@click.group(short_help="Proofs that a site signed what cannot be true.")
def fraud() -> None:
    """Look at proofs that a site signed two things that cannot both be true, or one that is shown to be false.

    Clients find them by themselves while they read, write and verify, and put them beside the receipts. A proof is a small file; whoever has the ledger's
    genesis file can verify it, without network and without this computer's help. Nothing that an honest site signed makes one.

    \b
    Examples:
        sento fraud list
        sento fraud verify fraud-5f0c.json
        sento fraud verify fraud-5f0c.json --trust trust.json
    """


@fraud.command(short_help="Verify one proof, without network.")
@click.argument("file", type=_FILE)
@click.option(
    "--trust", type=_FILE, metavar="FILE", help="Judge by this trust.json: genesis file and acts since."
)
@click.option(
    "--genesis", type=_FILE, metavar="FILE", help="Judge by this genesis file alone: the sites' first keys."
)
@pass_app
def verify(app: App, file: Path, trust: Path | None, genesis: Path | None) -> None:
    """Verify a proof of fraud from its own bytes and the keys that sites ever had.

    Without --trust or --genesis it is judged by the genesis file of the configuration and the trust.json beside its outbox. Ends with 0 when the file
    proves what it says, with 4 when it does not, and with 2 when a file cannot be read.

    \b
    Example:
        sento fraud verify fraud-5f0c.json --genesis genesis.json
    """
    if trust is not None and genesis is not None:
        raise click.UsageError("Name --trust or --genesis, not both: a trust.json holds its genesis file.")
    try:
        governance = _governance(app, trust, genesis)
    except (SetupError, SentoError) as error:
        app.show_error(error)
        sys.exit(Exit.USAGE)
    known = KnownSites.of(governance)
    found, why_not = _judged(_read(file, FRAUD_MAX_BYTES), known)

    def people(console: Console) -> None:
        if found is None:
            console.print(f"{printable(str(file))} proves nothing: {printable(why_not)}", markup=False)
        else:
            console.print(f"Proven: {found.words}", markup=False)
            if found.by_quorum:
                console.print(
                    "It rests on the word of a receipt quorum of other sites, too, and not on its own signatures alone."
                )
            console.print(MEANING)
        console.print(
            f"Judged by the ledger {governance.name}, id {governance.ledger_id.hex()}.", markup=False
        )

    ledger = {"ledger_id": governance.ledger_id.hex(), "ledger_name": governance.name}
    app.show({**_value(file, found, why_not), **ledger}, people)
    if found is None:
        sys.exit(Exit.NOT_VERIFIED)


@fraud.command("list", short_help="The proofs that this computer found.")
@pass_app
def list_proofs(app: App) -> None:
    """List the proofs of fraud that lie with this institution's receipts, each verified anew.

    Ends with 0 when there is none, with 5 when there is one: the site that it names is not trusted here while the file lies there.

    \b
    Example:
        sento --json fraud list
    """
    try:
        governance = _governance(app, None, None)
        directory = load_config(app.config).receipts
        files = [] if directory is None else read_frauds(directory)
    except (SetupError, SentoError) as error:
        app.show_error(error)
        sys.exit(Exit.USAGE)
    known = KnownSites.of(governance)
    judged = [(Path(name), *_judged(data, known)) for name, data in files]

    def people(console: Console) -> None:
        if not judged:
            console.print("No proof of fraud lies here.")
        for path, found, why_not in judged:
            words = found.words if found is not None else f"proves nothing: {printable(why_not)}"
            console.print(f"{printable(path.name)}\n    {words}", markup=False)
        if any(found for _, found, _ in judged):
            console.print(f"They lie in {printable(str(directory))}.", markup=False)
            console.print(MEANING)

    app.show(
        {
            "directory": None if directory is None else str(directory),
            "proofs": [_value(*one) for one in judged],
        },
        people,
    )
    if judged:
        sys.exit(Exit.DEGRADED)


def _judged(data: bytes, known: KnownSites) -> tuple[Fraud | None, str]:
    try:
        return verify_fraud(data, known), ""
    except (Malformed, NotProven) as error:
        return None, str(error)


def _value(path: Path, found: Fraud | None, why_not: str) -> dict[str, object]:
    value: dict[str, object] = {"file": str(path), "proven": found is not None}
    if found is None:
        return {**value, "why_not": why_not}
    return {
        **value,
        "kind": found.kind,
        "site": found.site,
        "words": found.words,
        "by_quorum": found.by_quorum,
    }


def _governance(app: App, trust: Path | None, genesis: Path | None) -> Governance:
    """By what the proof is judged. Raises SetupError, SentoError DAMAGED."""
    try:
        if trust is not None:
            return decode_trust_alone(_read(trust, _TRUST_MAX_BYTES)).followed.governance
        if genesis is not None:
            return from_genesis(decode_genesis(_read(genesis, GENESIS_MAX_BYTES)))
    except Malformed as error:
        code = Setup.GENESIS_INVALID if trust is None else Setup.TRUST_INVALID
        raise SetupError(code, f"{trust or genesis}: {error}") from None
    config = load_config(app.config)
    return open_trust_file(config.genesis, trust_path(config)).read().governance


def _read(path: Path, max_bytes: int) -> bytes:
    """A file, at most a byte over the limit. Raises click.UsageError."""
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
