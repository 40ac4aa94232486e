"""`sento receipt`: proofs that records stand, kept on this computer, given out as small files, verified without any site."""

from __future__ import annotations

import sqlite3
import sys
from itertools import islice
from pathlib import Path
from typing import NoReturn

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.outbox_view import receipts_sentence
from sento_client.cli.parameters import POSITION, deadline_option, whole_text
from sento_client.cli.receipt_place import config_of, open_store, receipts_look, store_value
from sento_client.cli.receipt_verify import verify
from sento_client.client import SentoClient
from sento_client.config import ClientConfig
from sento_client.receipts.store import Held
from sento_client.secret_files import write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_proto.receipt import FILE_SUFFIX, Receipt, encode_receipt
from sento_proto.wire import Malformed

_HEX_NAMES = {32: "record id", 64: "record hash"}


class _RecordName(click.ParamType[int | bytes]):
    name = "record"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | bytes:
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) < 20:
            return int(text)
        try:
            if len(text) in _HEX_NAMES:
                return bytes.fromhex(text)
        except ValueError:
            pass
        return self.fail(
            "expected a position, a record hash (64 hexadecimal digits) or a record id (32)", param, ctx
        )


@click.group(short_help="Proofs that records stand: get, list, verify, export.")
def receipt() -> None:
    """Receipts: small files that show that a record stands, to anybody, without any site, for decades.

    A receipt holds the record's hash and position, and a checkpoint that a quorum of independent sites cosigned. Clients that write keep one of each record
    by themselves, in the directory of receipts beside the outbox; the outbox forgets a record only when its receipt is on disk.

    \b
    Examples:
        sento receipt list
        sento receipt get 17 --out 17.receipt.json
        sento receipt get 17 --with-record --purpose "proof for the applicant" --case 2026-118 --out 17.receipt.json
        sento govern trust --out trust.json
        sento receipt verify 17.receipt.json --trust trust.json
    """


@receipt.command(short_help="Show one receipt, or put it into a file.")
@click.argument("name", type=_RecordName(), metavar="POSITION|HASH|ID")
@click.option(
    "--with-record",
    is_flag=True,
    help="Add the record's header and signatures, so that the receipt also shows who wrote it and when.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it here.")
@click.option(
    "--purpose", type=whole_text, default="", metavar="TEXT", help="Why the record is read; see below."
)
@click.option("--case", "case_number", type=whole_text, default="", metavar="NUMBER", help="Case number.")
@deadline_option
@pass_app
def get(
    app: App,
    name: int | bytes,
    with_record: bool,
    out: Path | None,
    purpose: str,
    case_number: str,
    deadline_ms: int | None,
) -> None:
    """Get the receipt of a record by position, record hash, or the id of a record that this institution wrote.

    What this computer has is given without reading the record. With --with-record, and for records of others, the header is read from a site: that takes
    --purpose and --case. No payload is ever in a receipt; whoever gets one with the record sees registry, kind, author, time and pseudonym.

    \b
    Examples:
        sento receipt get 17
        sento receipt get 0192f0c1a2b37c4d8e9f000102030405 --out moved-in.receipt.json
    """

    async def work(sento: SentoClient) -> Receipt:
        return await sento.receipt_of(
            name,
            with_record=with_record,
            purpose=purpose,
            case_number=case_number,
            deadline_ms=deadline_ms,
        )

    found = app.run(work, deadline_ms=deadline_ms)
    data = encode_receipt(found)
    if out is not None:
        _write(out, data)
        value = {"position": found.position, "record_hash": found.record_hash.hex(), "file": str(out)}
        app.show(
            value, lambda console: console.print(f"The receipt of position {found.position} is in {out}.")
        )
    else:
        # It is JSON already, for people and programs alike.
        click.echo(data.decode(), nl=False)


@receipt.command("list", short_help="List the receipts on this computer.")
@click.option("--from", "first", type=POSITION, default=0, metavar="POSITION", help="Begin here.")
@click.option(
    "--limit", type=click.IntRange(0, 1_000_000), default=50, show_default=True, help="At most so many."
)
@pass_app
def list_receipts(app: App, first: int, limit: int) -> None:
    """List the receipts that this computer keeps, in order of position, and what they take; no site is asked."""
    config = config_of(app)
    stands = receipts_look(config)
    held = _held(app, config, first, limit)
    value = {
        "store": store_value(stands),
        "receipts": [
            {
                "epoch": each.epoch,
                "position": each.position,
                "record_hash": each.record_hash.hex(),
                "record_id": each.record_id.hex() if any(each.record_id) else None,
                "checkpoint_size": each.size,
            }
            for each in held
        ],
    }

    def people(console: Console) -> None:
        console.print(receipts_sentence(stands))
        if held:
            console.print(_table(held), soft_wrap=False)

    app.show(value, people)


@receipt.command(short_help="Write receipts into files, one a record.")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--from", "first", type=POSITION, default=0, metavar="POSITION", help="Begin here.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=1_000, show_default=True, help="At most so many."
)
@pass_app
def export(app: App, directory: Path, first: int, limit: int) -> None:
    """Write receipts of this computer into DIRECTORY, each as POSITION.receipt.json; no site is asked.

    A file that is there already is replaced by the same receipt. Give whoever verifies them a trust file, too: sento govern trust --out trust.json
    """
    config = config_of(app)
    held = _held(app, config, first, limit)
    store = open_store(app, config)
    written = 0
    if store is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for each in held:
                found = store.at(each.position, each.record_hash)
                if found is not None:
                    _write(directory / f"{each.position}{FILE_SUFFIX}", encode_receipt(found))
                    written += 1
        except OSError as error:
            raise click.UsageError(f"{directory} cannot be written: {error.strerror}.") from None
        except (sqlite3.Error, Malformed) as error:
            _damaged(app, store.path, error)
        finally:
            store.close()
    last = held[-1].position if held else None
    value = {"directory": str(directory), "written": written, "last_position": last}
    more = f" Go on with --from {held[-1].position + 1}." if len(held) == limit else ""
    app.show(value, lambda console: console.print(f"{written} receipts are in {directory}.{more}"))


def _held(app: App, config: ClientConfig, first: int, limit: int) -> list[Held]:
    store = open_store(app, config)
    if store is None:
        return []
    try:
        return list(islice(store.held(first), limit))
    except (sqlite3.Error, Malformed) as error:
        _damaged(app, store.path, error)
    finally:
        store.close()


def _damaged(app: App, path: Path, error: Exception) -> NoReturn:
    app.show_error(SetupError(Setup.RECEIPTS_UNUSABLE, f"{path}: {error}"))
    sys.exit(Exit.USAGE)


def _write(path: Path, data: bytes) -> None:
    try:
        write_secret(path, data)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}.") from None


def _table(held: list[Held]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("position", justify="right")
    table.add_column("record hash", overflow="fold")
    table.add_column("record id", overflow="fold")
    table.add_column("cosigned at size", justify="right")
    for each in held:
        record_id = each.record_id.hex() if any(each.record_id) else ""
        table.add_row(str(each.position), each.record_hash.hex(), record_id, str(each.size))
    return table


receipt.add_command(verify)
