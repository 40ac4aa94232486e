"""`sento return`: what an old capital set aside with its epoch comes back once, after people have looked at it; nothing of it is dropped."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from sento_client.asker import damaged
from sento_client.cli.app import App, pass_app
from sento_client.cli.courier_common import operator_option
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.recover_common import run_recovering
from sento_client.cli.recover_files import write_new
from sento_client.cli.return_view import print_list, print_sorting, sorting_value
from sento_client.cli.waiting import bar_of
from sento_client.governing.client import GoverningClient
from sento_client.returning.asking import fetch_orphans
from sento_client.returning.asking import readmit as offer_again
from sento_client.returning.orphans_file import (
    ORPHANS_MAX_BYTES,
    OrphansFile,
    decode_orphans,
    encode_orphans,
)
from sento_client.returning.sorting import PEOPLE_DECIDE, Place, Sorting, sort_orphans
from sento_client.secret_files import write_secret
from sento_client.setup_errors import SetupError
from sento_proto.errors import Code, SentoError
from sento_proto.merkle import HASH_BYTES
from sento_proto.wire import Malformed

PORTION = 200
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _RecordHash(click.ParamType[bytes]):
    name = "record hash"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        try:
            record_hash = bytes.fromhex(str(value))
        except ValueError:
            record_hash = b""
        if len(record_hash) != HASH_BYTES:
            self.fail("a record hash has 64 hexadecimal digits, as sento return show lists them", param, ctx)
        return record_hash


_SITE = click.option("--site", required=True, metavar="SITE", help="The site that set them aside.")


@click.group("return", short_help="What an old capital set aside: list, look, readmit once.")
def return_() -> None:
    """Bring back what a site set aside when it went over to a new epoch: records that the ledger lacks.

    Needs an officer's sento.toml, or an operator's certificate (--operator). Authors' own signatures bring a record back, so nobody's word is needed for what
    it says; people decide about conflicts, in which a fact has another version by now.

    \b
    In this order (runbook: return):
        sento return orphans --site jp-fukuoka --epoch 0 --out orphans.json
        sento return show orphans.json
        sento return readmit orphans.json --site jp-fukuoka
    """


@return_.command()
@_SITE
@click.option("--epoch", type=click.IntRange(min=0), required=True, help="The former epoch, which has ended.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="A new file, for review.",
)
@operator_option
@pass_app
def orphans(app: App, site: str, epoch: int, out: Path, operator: Path | None) -> None:
    """List what the site set aside with the epoch and the ledger lacks, by registry and author, conflicts apart.

    Ends with 0 when nothing needs a person, with 5 when something does: the file is whole either way.

    \b
    Example:
        sento return orphans --site jp-fukuoka --epoch 0 --out orphans.json
    """
    if out.exists():
        raise click.UsageError(f"{out} is there already; name another file with --out.")

    async def work(client: GoverningClient) -> OrphansFile:
        _check_site(app, client, site)
        with bar_of(app.progress_console(), "orphans", shown=not app.as_json, total=None) as (bar, task):
            found = await fetch_orphans(client, site, epoch, lambda count: bar.update(task, completed=count))
        ledger_id = client.place.trust_file.genesis.ledger_id
        return OrphansFile(ledger_id, site, epoch, client.wall_ms, tuple(found))

    file = run_recovering(app, operator, work)
    data = encode_orphans(file)
    try:
        decode_orphans(data)
    except Malformed as error:
        app.show_error(damaged(site, f"what it lists is no list of orphans: {error}"))
        sys.exit(Exit.REFUSED)
    write_new(out, data)
    sorting = sort_orphans(file)
    app.show(sorting_value(file, sorting), lambda console: print_sorting(console, file, sorting))
    _end(sorting)


@return_.command()
@click.argument("path", type=_FILE, metavar="FILE")
@click.option("--all", "everything", is_flag=True, help="List every record, and not only those for a person.")
@pass_app
def show(app: App, path: Path, everything: bool) -> None:
    """Say what is in the file: how many are where, and which ones a person has to decide about. No site is asked.

    \b
    Example:
        sento return show orphans.json
    """
    file = _opened(app, path)
    sorting = sort_orphans(file)
    listed = sorting.items if everything else sorting.of(*PEOPLE_DECIDE)
    value = sorting_value(file, sorting, listed)

    def people(console: Console) -> None:
        print_sorting(console, file, sorting)
        print_list(console, listed)

    app.show(value, people)
    _end(sorting)


@return_.command()
@click.argument("path", type=_FILE, metavar="FILE")
@_SITE
@click.option(
    "--leave-out",
    "left_out",
    type=_RecordHash(),
    multiple=True,
    metavar="HASH",
    help="Do not offer this record, nor what was signed with it.",
)
@click.option(
    "--take",
    "taken",
    type=_RecordHash(),
    multiple=True,
    metavar="HASH",
    help="Offer this one although it conflicts: you have compared both versions.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@operator_option
@pass_app
def readmit(
    app: App,
    path: Path,
    site: str,
    left_out: tuple[bytes, ...],
    taken: tuple[bytes, ...],
    yes: bool,
    operator: Path | None,
) -> None:
    """Offer again at the site whatever nothing speaks against. Conflicts are not sent: they stay in FILE, with where both versions stand.

    Each submission goes under its author's own signature and stands once, however often this is repeated; after an interruption the same command goes on. What
    became of each is written into FILE. Ends with 0 when everything stands, with 5 while a person's list is not empty, with 6 when some have no answer yet.

    \b
    Example:
        sento return readmit orphans.json --site jp-fukuoka --leave-out 5f0c...e1
    """
    file = _opened(app, path)
    if file.site != site:
        raise click.UsageError(f"{path} lists what {file.site} set aside: name that site.")
    unknown = {*left_out, *taken} - {one.record_hash for one in file.orphans}
    if unknown:
        raise click.UsageError(f"{min(unknown).hex()} is not in {path}.")
    sorting = sort_orphans(file, left_out, taken)
    count = sorting.counts[Place.TO_OFFER]
    if count and not yes:
        _confirm(f"Offer {count} records again at {site}?")
    after = _offered(app, operator, path, file, sorting) if count else file
    left = sort_orphans(after, left_out)
    listed = left.of(*PEOPLE_DECIDE)

    def people(console: Console) -> None:
        print_sorting(console, after, left)
        print_list(console, listed)

    app.show(sorting_value(after, left, listed), people)
    if left.counts[Place.TO_OFFER]:
        sys.exit(Exit.OUTCOME_UNKNOWN)
    _end(left)


def _offered(app: App, operator: Path | None, path: Path, file: OrphansFile, sorting: Sorting) -> OrphansFile:
    """The file with the answers, which is written after each portion."""
    after = file

    async def work(client: GoverningClient) -> OrphansFile:
        nonlocal after
        _check_site(app, client, file.site)
        total = sorting.counts[Place.TO_OFFER]
        with bar_of(app.progress_console(), "offered again", shown=not app.as_json, total=total) as (
            bar,
            task,
        ):
            for portion in sorting.submissions_to_offer(PORTION):
                answers = []
                try:
                    async for answer in offer_again(client, file.site, file.epoch, portion):
                        answers.append(answer)
                        bar.advance(task)
                finally:
                    after = after.answered(answers)
                    write_secret(path, encode_orphans(after))
        return after

    return run_recovering(
        app,
        operator,
        work,
        if_interrupted=lambda: f"Interrupted. What has an answer is in {path}; the same command goes on.",
    )


def _opened(app: App, path: Path) -> OrphansFile:
    """Raises click.UsageError for a file that is none; ends the command where it is another ledger's."""
    try:
        with path.open("rb") as opened:
            file = decode_orphans(opened.read(ORPHANS_MAX_BYTES + 1))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(f"{path} is no list of `sento return orphans`: {error}.") from None
    try:
        if file.ledger_id != app.open_governing(app.config).place.trust_file.genesis.ledger_id:
            raise SentoError(
                Code.WRONG_LEDGER, f"{path} is of another ledger than the one in this configuration"
            )
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    return file


def _check_site(app: App, client: GoverningClient, site: str) -> None:
    if site not in client.sites:
        raise click.BadParameter(
            f"{site} is not a site of {app.config}; it has {', '.join(client.sites)}.", param_hint="--site"
        )


def _confirm(words: str) -> None:
    """Raises click.UsageError where nobody sits."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask at: look with sento return show, then give --yes."
        )
    if not click.confirm(words, err=True):
        sys.exit(Exit.INTERRUPTED)


def _end(sorting: Sorting) -> None:
    if sorting.of(*PEOPLE_DECIDE):
        sys.exit(Exit.DEGRADED)
