"""`sento bootstrap`: the file by which a new site knows which ledger it copies: made, signed by the officers one after the other, shown, verified."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.govern_common import run_governing
from sento_client.cli.prompts import person_to_ask
from sento_client.governing.bootstrapping import check_bootstrap, make_bootstrap
from sento_client.governing.client import GoverningClient
from sento_client.secret_files import write_secret
from sento_proto.bootstrap import (
    BOOTSTRAP_MAX_BYTES,
    NotSigned,
    SignedBootstrap,
    check_signed,
    decode_bootstrap,
    encode_bootstrap,
    sign_bootstrap,
    signers_of,
)
from sento_proto.errors import Code, SentoError
from sento_proto.wire import Malformed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(short_help="The file that a new site begins with: make, sign, show, verify.")
def bootstrap() -> None:
    """The file by which a new site, or one on a new disk, knows which ledger it copies.

    It holds the genesis file, the root that a quorum cosigned at some size, and who is in office; the officers of today sign it. It travels by another way
    than the ledger. Nothing in it is secret.

    \b
    In this order:
        sento bootstrap make --out lu-betzdorf.sento-bootstrap
        sento bootstrap sign lu-betzdorf.sento-bootstrap          at each officer's computer
        sento-node join --config node.toml --bootstrap lu-betzdorf.sento-bootstrap
    """


@bootstrap.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where it goes; nothing is written over.",
)
@pass_app
def make(app: App, out: Path) -> None:
    """Make the file from the newest checkpoint that a quorum cosigned, verified here like any reader's. Nobody has signed it then.

    \b
    Example:
        sento bootstrap make --out lu-betzdorf.sento-bootstrap
    """
    if out.exists():
        raise click.UsageError(f"{out} exists already; name another file.")

    async def work(client: GoverningClient) -> SignedBootstrap:
        return await make_bootstrap(client)

    signed = run_governing(app, work)
    _write(out, signed)
    app.show(
        value_of(signed) | {"file": str(out)},
        lambda console: _print(console, signed, f"Next: sento bootstrap sign {out}"),
    )


@bootstrap.command()
@click.argument("path", type=_FILE, metavar="FILE")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts that have looked themselves.")
@pass_app
def sign(app: App, path: Path, yes: bool) -> None:
    """Sign the file, after it was compared with this computer's own view of the ledger.

    Refused are a file of another ledger, of an older epoch, of a tree that is no part of what a quorum cosigned, a key that is not in office, and a second
    signature for one office.

    \b
    Example:
        sento bootstrap sign lu-betzdorf.sento-bootstrap
    """
    signed = read_bootstrap(path)

    async def look(client: GoverningClient) -> None:
        await check_bootstrap(client, signed.content)

    run_governing(app, look)
    if not app.as_json:
        app.show({}, lambda console: _print(console, signed, ""))
    if not yes:
        _confirm()

    async def put_under(client: GoverningClient) -> SignedBootstrap:
        signer = client.place.signer(person_to_ask())
        await check_bootstrap(client, signed.content)
        try:
            return await asyncio.to_thread(sign_bootstrap, signed, signer)
        except NotSigned as error:
            raise SentoError(Code.NOT_AN_OFFICER, str(error)) from None

    after = run_governing(app, put_under, heading=False)
    _write(path, after)
    app.show(value_of(after) | {"file": str(path)}, lambda console: _print_signatures(console, after))


@bootstrap.command()
@click.argument("path", type=_FILE, metavar="FILE")
@pass_app
def show(app: App, path: Path) -> None:
    """Show what is in the file and who signed it, by its own word alone; no site is asked.

    \b
    Example:
        sento bootstrap show lu-betzdorf.sento-bootstrap
    """
    signed = read_bootstrap(path)
    app.show(value_of(signed), lambda console: _print(console, signed, ""))


@bootstrap.command()
@click.argument("path", type=_FILE, metavar="FILE")
@pass_app
def verify(app: App, path: Path) -> None:
    """Compare the file with this computer's own view of the ledger, and count its signatures.

    \b
    Example:
        sento bootstrap verify lu-betzdorf.sento-bootstrap
    """
    signed = read_bootstrap(path)

    async def work(client: GoverningClient) -> None:
        await check_bootstrap(client, signed.content)
        try:
            check_signed(signed)
        except NotSigned as error:
            raise SentoError(Code.TOO_FEW_OFFICERS, str(error)) from None

    run_governing(app, work)
    app.show(
        value_of(signed) | {"verified": True},
        lambda console: _print(console, signed, "It is of this ledger, and enough officers signed it."),
    )


def read_bootstrap(path: Path) -> SignedBootstrap:
    """The file. Raises click.UsageError."""
    try:
        with path.open("rb") as file:
            return decode_bootstrap(file.read(BOOTSTRAP_MAX_BYTES + 1))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(f"{path} is no bootstrap file: {error}.") from None


def _write(path: Path, signed: SignedBootstrap) -> None:
    try:
        write_secret(path, encode_bootstrap(signed))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}.") from None


def _confirm() -> None:
    """Raises click.Abort unless the person says yes, click.UsageError where nobody sits."""
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at: read what is shown, then give --yes.")
    if not click.confirm("Sign this?", err=True):
        raise click.Abort


def value_of(signed: SignedBootstrap) -> dict[str, object]:
    """What is in the file, for programs. `signed`: the offices; `fault`: why the signatures do not count, "" when each holds."""
    content = signed.content
    offices, fault = _offices(signed)
    return {
        "ledger": {"name": content.name, "id": content.ledger_id.hex(), "purpose": content.genesis.purpose},
        "epoch": content.epoch,
        "size": content.size,
        "root": content.root.hex(),
        "made_at_ms": content.made_at_ms,
        "receipt_set": {"sites": list(content.receipt_set.sites), "quorum": content.receipt_set.quorum},
        "sites": [site._asdict() for site in content.sites],
        "signed": list(offices),
        "waiting": [officer.name for officer in content.officers if officer.name not in offices],
        "needed": content.threshold,
        "enough": not fault and len(offices) >= content.threshold,
        "fault": fault,
    }


def _offices(signed: SignedBootstrap) -> tuple[tuple[str, ...], str]:
    try:
        return signers_of(signed), ""
    except NotSigned as error:
        return (), str(error)


def _print(console: Console, signed: SignedBootstrap, last: str) -> None:
    content = signed.content
    console.print(
        f"{content.genesis.purpose.upper()} ledger {content.name}, {content.ledger_id.hex()}", markup=False
    )
    console.print(f"Epoch {content.epoch}, size {content.size:,}, root {content.root.hex()}", markup=False)
    receipt_set = content.receipt_set
    console.print(f"A receipt needs {receipt_set.quorum} of {', '.join(receipt_set.sites)}", markup=False)
    for site in content.sites:
        role = ("votes" if site.votes else "embassy") if site.ledger else "tie-breaker"
        console.print(
            f"  {site.name}, {site.country}: {role}; {site.address or 'address not said'}", markup=False
        )
    _print_signatures(console, signed)
    if last:
        console.print(last, markup=False)


def _print_signatures(console: Console, signed: SignedBootstrap) -> None:
    offices, fault = _offices(signed)
    if fault:
        console.print(fault, markup=False)
        return
    names = ", ".join(offices) or "nobody yet"
    console.print(f"Signed by {names}; {signed.content.threshold} officers are needed.", markup=False)
