"""`sento pseudonyms`: run the pseudonym service, make its keys, seal them to the recovery key, check its log."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.setup_errors import SetupError

if TYPE_CHECKING:
    from sento_client.serving.log_chain import ChainEnd

_SERVICE = click.option(
    "--service",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("pseudonyms.toml"),
    envvar="SENTO_PSEUDONYMS",
    show_default=True,
    help="The service's configuration.",
)
_TO = "--to"


@click.group(short_help="Run the pseudonym service; its keys and its log.")
def pseudonyms() -> None:
    """The pseudonym service keeps the keys by which people are named, so that no program has to.

    \b
    Examples:
        sento pseudonyms keys make --service pseudonyms.toml --registry residency --registry tax
        sento pseudonyms serve --service pseudonyms.toml
        sento pseudonyms log verify --service pseudonyms.toml
    """


@pseudonyms.command(short_help="Serve until SIGTERM or SIGINT.")
@_SERVICE
@pass_app
def serve(app: App, service: Path) -> None:
    """Name people and facts for those whom the configuration allows, until SIGTERM or SIGINT.

    What operators should know goes to standard error, one JSON object a line; each call goes into the log first.
    """
    from sento_client.pseudonym_service.config import load_service_config
    from sento_client.pseudonym_service.server import CannotServe
    from sento_client.pseudonym_service.server import serve as serve_service
    from sento_client.serving.saying import json_line

    async def life() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        config = load_service_config(service)
        await serve_service(config, stop, lambda words: click.echo(json_line(words), err=True))

    try:
        asyncio.run(life())
    except SetupError as error:
        _end(app, error)
    except CannotServe as error:
        click.echo(f"The pseudonym service did not start: {error}.", err=True)
        sys.exit(Exit.REFUSED)


@pseudonyms.group(short_help="Make and show keys.")
def keys() -> None:
    """Pseudonym and index keys: two for each registry, which can never be changed once records stand under them."""


@keys.command("make", short_help="Make keys for registries that have none.")
@_SERVICE
@click.option("--registry", "registries", multiple=True, required=True, help="May be given again.")
@click.option(
    _TO,
    "recovery",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The recovery public key; the new keys are sealed to it before anything else is done.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where the seals go; with --to.")
@pass_app
def make(
    app: App, service: Path, registries: tuple[str, ...], recovery: Path | None, out: Path | None
) -> None:
    """Make a pseudonym and an index key for each registry and put them where the configuration says: key file or token.

    Keys in a token never come out again. Do this in the ceremony room, on a computer without a network, with --to: the keys are sealed to the
    recovery key first, then the token takes them, and this computer forgets them.
    """
    from sento_client.pseudonym_service.macs import MacFailed
    from sento_client.pseudonym_service.making import Refused, make_service_keys

    if (recovery is None) != (out is None):
        raise click.UsageError("--to and --out belong together.")
    try:
        made = make_service_keys(service, registries, recovery, out)
    except SetupError as error:
        _end(app, error)
    except (Refused, MacFailed) as error:
        click.echo(f"No key was made: {error}.", err=True)
        sys.exit(Exit.REFUSED)
    app.show(made.value(), lambda console: console.print(made.words(), markup=False))


@keys.command("show", short_help="Which keys there are, by their ids.")
@_SERVICE
@pass_app
def show(app: App, service: Path) -> None:
    """Registries, kinds and key ids; equal ids are equal keys, and an id shows nothing of its key."""
    from sento_client.pseudonym_service.config import load_service_config
    from sento_client.pseudonym_service.macs import MacFailed, key_ids
    from sento_client.pseudonym_service.server import open_mac

    try:
        mac = open_mac(load_service_config(service))
        try:
            ids = key_ids(mac)
        finally:
            mac.close()
    except SetupError as error:
        _end(app, error)
    except MacFailed as error:
        click.echo(f"The keys cannot be used: {error}.", err=True)
        sys.exit(Exit.REFUSED)
    rows = [{"registry": name.registry, "kind": name.kind.word, "key_id": ids[name].hex()} for name in ids]
    lines = [f"{row['registry']:<16}{row['kind']:<12}{row['key_id']}" for row in rows]
    value = {"form": mac.form, "keys": rows}
    app.show(value, lambda console: console.print("\n".join([f"in: {mac.form}", *lines]), markup=False))


@pseudonyms.command(short_help="Seal the keys to the recovery key.")
@_SERVICE
@click.option(_TO, "recovery", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@pass_app
def seal(app: App, service: Path, recovery: Path, out: Path) -> None:
    """Seal the pseudonym and index keys of a key file to the recovery public key, for the ceremony of the year.

    Keys in a token cannot be sealed, because they do not come out of it: see sento pseudonyms keys make --help.
    """
    from sento_client.pseudonym_service.making import Refused, seal_service_keys

    try:
        count = seal_service_keys(service, recovery, out)
    except SetupError as error:
        _end(app, error)
    except Refused as error:
        click.echo(f"Nothing was sealed: {error}.", err=True)
        sys.exit(Exit.REFUSED)
    words = f"{count} keys are sealed in {out}; take the file to the ceremony."
    app.show({"sealed": count, "file": str(out)}, lambda console: console.print(words, markup=False))


@pseudonyms.group(short_help="The log of calls.")
def log() -> None:
    """One line for each call: when, who, which registry, how many, what for, with what outcome; never whom it was about."""


@log.command("verify", short_help="Follow the log's chain from its first line.")
@_SERVICE
@click.option(
    "--noted", help="NUMBER:HASH of a line that was noted elsewhere, from an earlier run or from the service."
)
@pass_app
def verify(app: App, service: Path, noted: str | None) -> None:
    """Check that no line was altered, taken out or put in. Lines taken off the end show only with --noted.

    Ends with 4 when the chain is broken, and says at which line.
    """
    from sento_client.pseudonym_service.config import load_service_config
    from sento_client.serving.log_chain import ChainBroken
    from sento_client.serving.log_chain import verify as verify_chain
    from sento_client.serving.log_files import log_lines, log_paths

    try:
        directory = load_service_config(service).log_directory
    except SetupError as error:
        _end(app, error)
    if not log_paths(directory):
        raise click.UsageError(f"{directory} holds no log.")
    try:
        end = verify_chain(log_lines(directory), _noted(noted))
    except ChainBroken as error:
        words = f"The log was changed. {error}."
        app.show(
            {"whole": False, "line": error.line, "why": str(error)},
            lambda console: console.print(words, markup=False),
        )
        sys.exit(Exit.NOT_VERIFIED)
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
    words = f"{end.lines:,} lines, each follows the one before it. Note this elsewhere: {end.lines}:{end.head.hex()}"
    value = {"whole": True, "lines": end.lines, "head": end.head.hex()}
    app.show(value, lambda console: console.print(words, markup=False, soft_wrap=True))


def _noted(text: str | None) -> ChainEnd | None:
    from sento_client.serving.log_chain import ChainEnd

    if text is None:
        return None
    number, _, head = text.partition(":")
    try:
        return ChainEnd(int(number), bytes.fromhex(head))
    except ValueError:
        raise click.BadParameter("expected NUMBER:HASH", param_hint="--noted") from None


def _end(app: App, error: SetupError) -> NoReturn:
    app.show_error(error)
    sys.exit(Exit.USAGE)
