"""`sento receipt verify`: judge receipts without any site, by a trust file that came along or by what this client has followed.

A receipt that a recovery left in doubt is neither good nor lost by its file alone; with --ask a site is asked to prove what stands at its position."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.show import gap_fields
from sento_client.cli.terminal import printable
from sento_client.client import SentoClient
from sento_client.config import load_config
from sento_client.governing.trust_file import trust_path
from sento_client.opening import open_trust_file
from sento_client.receipts.checking import ReceiptJudge
from sento_client.setup_errors import SetupError
from sento_proto import header as header_layout
from sento_proto.governance.gaps import as_of_words
from sento_proto.receipt import RECEIPT_MAX_BYTES, Receipt, Verified
from sento_proto.wire import Malformed


@click.command(short_help="Verify receipts; no site is asked.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE..."
)
@click.option(
    "--trust",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The trust file that says whose keys counted (default: what this client has followed).",
)
@click.option(
    "--ledger",
    metavar="ID",
    help="The ledger's id, 64 hexadecimal digits: what else must be known (default: that of the configuration, where there is one).",
)
@click.option(
    "--ask",
    is_flag=True,
    help="Ask a site what stands at the position of a receipt that its file alone does not prove after a recovery.",
)
@pass_app
def verify(app: App, files: tuple[Path, ...], trust: Path | None, ledger: str | None, ask: bool) -> None:
    """Verify receipts on this computer alone: form, the path to the checkpoint, the quorum that cosigned it, and who wrote the record where it is in the file.

    After a recovery some receipts of the former epoch prove nothing by themselves: the ledger went on from another copy than the one they are of. With --ask,
    which needs the configuration, a site proves what stands there now.

    With --trust no configuration is needed. A trust file names its own ledger, and anybody can make a ledger: compare the ledger id with one that you have
    from elsewhere, or give it with --ledger. Ends with 0 when all receipts are good, with 4 when one is not.

    \b
    Examples:
        sento receipt verify 17.receipt.json
        sento receipt verify *.receipt.json --trust trust.json --ledger 5f0c...
    """
    judge = _judge(app, trust)
    expected = ledger.lower() if ledger is not None else _own_ledger(app)
    found = judge.governance.ledger_id.hex()
    if expected is not None and expected != found:
        _refuse(app, f"the trust file is of ledger {found}, not of {expected}")
    results = [_one(path, judge) for path in files]
    doubted = [at for at, result in enumerate(results) if result.get("in_doubt")]
    if ask and doubted:
        shown = app.run(lambda sento: _standing(sento, [results[at]["position"] for at in doubted]))
        for at, stands in zip(doubted, shown, strict=True):
            results[at] = _one(files[at], judge, stands)
    good = all(result["verified"] for result in results)
    value = {
        "verified": good,
        "ledger_id": found,
        "ledger": judge.governance.name,
        "purpose": judge.governance.purpose,
        "ledger_known": expected is not None,
        "receipts": results,
    }

    def people(console: Console) -> None:
        for result in results:
            for line in _lines(result):
                console.print(printable(line), markup=False)
        console.print(f"Ledger {judge.governance.name} ({judge.governance.purpose}), {found}", markup=False)
        if expected is None:
            console.print(
                "Compare this ledger id with one that you have from elsewhere: the trust file names itself."
            )

    app.show(value, people)
    if not good:
        sys.exit(Exit.NOT_VERIFIED)


def _judge(app: App, trust: Path | None) -> ReceiptJudge:
    try:
        if trust is not None:
            return ReceiptJudge.of_file(trust)
        config = load_config(app.config)
        return ReceiptJudge.of(open_trust_file(config.genesis, trust_path(config)).read_all())
    except OSError as error:
        raise click.UsageError(f"{trust} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        _refuse(app, str(error))
    except SetupError as error:
        app.show_error(error)
        sys.exit(exit_of(error))


def _own_ledger(app: App) -> str | None:
    """The ledger of the configuration; None where there is no configuration, or it cannot be read."""
    try:
        config = load_config(app.config)
        return open_trust_file(config.genesis, trust_path(config)).genesis.ledger_id.hex()
    except SetupError:
        return None


def _refuse(app: App, why: str) -> NoReturn:
    if app.as_json:
        app.show_line({"verified": False, "why": why})
    else:
        click.echo(f"NOT VERIFIED: {printable(why)}.", err=True)
    sys.exit(Exit.NOT_VERIFIED)


async def _standing(sento: SentoClient, positions: Sequence[object]) -> list[Receipt]:
    """What the sites prove to stand at these positions now. Raises SentoError."""
    return [await sento.standing_at(position) for position in positions if isinstance(position, int)]


def _one(path: Path, judge: ReceiptJudge, shown: Receipt | None = None) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(RECEIPT_MAX_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        receipt, verified = judge.verify(data, shown=shown)
    except Malformed as error:
        return {"file": str(path), "verified": False, "why": str(error)}
    value: dict[str, object] = {
        "file": str(path),
        "verified": verified.holds,
        "why": verified.why,
        "in_doubt": verified.doubted,
        "position": receipt.position,
        "record_hash": receipt.record_hash.hex(),
        "epoch": receipt.checkpoint.epoch,
        "checkpoint_size": receipt.checkpoint.size,
        "cosigned": dict(verified.cosigned),
        "steps": [{"check": step.check, "holds": step.holds, "why": step.why} for step in verified.steps],
        "reach": judge.reach_words(receipt),
    }
    if verified.holds:
        value |= _record_value(receipt, verified) | gap_fields(judge.as_of_ms(receipt))
    return value


def _record_value(receipt: Receipt, verified: Verified) -> dict[str, object]:
    if receipt.record is None:
        return {}
    header = header_layout.decode(receipt.record.header_bytes)
    return {
        "author": verified.author,
        "registry": header.registry,
        "kind": header.kind,
        "written_at_ms": header.time_ms,
        "record_id": header.record_id.hex(),
    }


def _lines(result: dict[str, object]) -> list[str]:
    """One receipt, for people."""
    if result.get("in_doubt"):
        return [f"{result['file']}: NOT PROVEN: {result['why']} (--ask)."]
    if not result["verified"]:
        return [f"{result['file']}: NOT VERIFIED: {result['why']}. It shows nothing."]
    times = result["cosigned"]
    assert isinstance(times, dict)
    by = ", ".join(f"{site} ({_when(time_s)})" for site, time_s in times.items())
    lines = [
        f"{result['file']}: good. The record {result['record_hash']} stands at position {result['position']}.",
        f"  Cosigned at size {result['checkpoint_size']} by {by}.",
    ]
    if "author" in result:
        lines.append(
            f"  Written by {result['author']}: {result['kind']} in {result['registry']}, record id {result['record_id']}."
        )
    else:
        lines.append("  Who wrote it is not in this receipt (sento receipt get --with-record).")
    as_of_ms = result["as_of_ms"]
    if isinstance(as_of_ms, int):
        lines.append(f"  The record is {as_of_words(as_of_ms)}.")
    if result["reach"]:
        lines.append(f"  {result['reach']}")
    return lines


def _when(time_s: int) -> str:
    try:
        return dt.datetime.fromtimestamp(time_s, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "at an impossible time"
