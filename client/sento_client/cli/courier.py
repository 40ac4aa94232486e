"""`sento courier`: the whole ledger on disks that people carry, where no line is left or would take too long."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.courier_common import (
    DIRECTORY,
    EXISTING,
    chosen,
    followed,
    found_value,
    key_option,
    make_set,
    operator_option,
    run_courier,
    scan_all,
    show_made,
    trust_option,
    verify_directories,
    volume_size_option,
)
from sento_client.cli.exits import Exit
from sento_client.cli.prompts import person_to_ask
from sento_client.cli.waiting import bar_of
from sento_client.courier.importing import Bringer, Imported, SiteStands, open_line, receipt_path
from sento_client.courier.place import CourierPlace
from sento_client.courier.reading import FoundSet, Judge, signers_of
from sento_client.courier.telling import Told
from sento_client.courier.untold import settle_untold
from sento_client.grpc_transport import GrpcTransport
from sento_client.transport import STATUS
from sento_proto.erasure_certificate import Volume
from sento_proto.errors import SentoError
from sento_proto.v1 import admin_pb2

STATUS_TIMEOUT_MS = 20_000


@click.group(short_help="Carry the ledger from site to site on disks.")
def courier() -> None:
    """Carry the ledger from site to site on disks: sealed, signed and numbered volumes of any size, made from live sites.

    \b
    Examples:
        sento courier export /mnt/disk --to taipei-office --volume-size 64MB
        sento courier verify /mnt/disk --trust trust.json --key seal.key
        sento courier import /mnt/disk --site tw-taipei
    """


@courier.command("export")
@click.argument("directory", metavar="DIR", type=DIRECTORY)
@click.option(
    "--to",
    multiple=True,
    required=True,
    metavar="NAME",
    help="Seal to this institution or officer; may be repeated.",
)
@volume_size_option
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="NAME",
    help="Payloads of this registry first; may be repeated.",
)
@click.option(
    "--spine-copies",
    type=click.IntRange(1, 5),
    default=2,
    show_default=True,
    help="How often the spine goes along.",
)
@operator_option
@pass_app
def export_(
    app: App,
    directory: Path,
    to: tuple[str, ...],
    volume_size: int,
    registries: tuple[str, ...],
    spine_copies: int,
    operator: Path | None,
) -> None:
    """Write the ledger, as a quorum cosigned it last, into DIR: first all headers and signatures, then payloads, then headers and signatures once more.

    Killed, cut off or out of space, the same command goes on behind the last whole volume, at whichever site answers. Whole volumes may be carried off
    meanwhile; only sento-catalogue.json has to stay. The sites note each volume with payloads, for erasure certificates; a site that is away is told by the
    next export or backup into DIR, which sento-untold.json is for. Ends with 5 only when no site at all noted a volume.

    \b
    Example:
        sento courier export /mnt/disk --to taipei-office --volume-size 64MB --operator /etc/sento/operator
    """
    entry, told = make_set(
        app,
        directory,
        kind="courier",
        operator=operator,
        volume_bytes=volume_size,
        to=to,
        registries=registries,
        spine_copies=spine_copies,
    )
    show_made(app, directory, entry, told)


@courier.command("verify")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=EXISTING)
@trust_option
@key_option
@click.option("--set", "set_name", metavar="ID", help="This set; otherwise the one that reaches furthest.")
@pass_app
def verify_(
    app: App, directories: tuple[Path, ...], trust: Path, key: Path | None, set_name: str | None
) -> None:
    """Prove a set offline: signatures, seals, the whole tree against the quorum's checkpoints, officers' acts, payloads. Every bad or missing volume is named.

    Ends with 0 when all is good, with 4 otherwise. Without --key only the outside of sealed volumes is proven.

    \b
    Example:
        sento courier verify /mnt/disk-1 /mnt/disk-2 --trust trust.json --key seal.key
    """
    verify_directories(app, directories, trust, key, set_name, chain=False)


@courier.command("show")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=EXISTING)
@click.option(
    "--ledger", metavar="HEX", default="", help="The ledger's id; volumes of others are called foreign."
)
@pass_app
def show_(app: App, directories: tuple[Path, ...], ledger: str) -> None:
    """List the volumes by what their outside says: whole or damaged, of which set, for whom. Nothing is proven by this: see verify.

    \b
    Example:
        sento courier show /mnt/disk
    """
    try:
        ledger_id = bytes.fromhex(ledger)
    except ValueError:
        raise click.BadParameter("it is not hex", param_hint="--ledger") from None
    found = scan_all(app, directories, Judge(ledger_id, None, None))
    whole = [
        one if one.verdict != "foreign" or ledger else one._replace(verdict="whole", words="")
        for one in found
    ]

    def people(console: Console) -> None:
        for one in whole:
            words = one.words
            if one.header is not None:
                who = ", ".join(each.name for each in one.header.recipients) or "everybody: it is not sealed"
                words = (
                    f"{one.header.kind}, {one.header.content}, through size {one.header.to_size}, for {who}"
                )
            console.print(f"{one.label}  {one.verdict}  {words}", markup=False)

    app.show({"volumes": [found_value(one) for one in whole]}, people)


@courier.command("import")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=EXISTING)
@click.option("--site", required=True, metavar="SITE", help="The site whose ledger takes the volumes in.")
@key_option
@click.option("--set", "set_name", metavar="ID", help="This set; otherwise the one that reaches furthest.")
@click.option(
    "--any-signer",
    is_flag=True,
    help="Also volumes signed by nobody whom governance knows; every chunk proves itself.",
)
@operator_option
@pass_app
def import_(
    app: App,
    directories: tuple[Path, ...],
    site: str,
    key: Path | None,
    set_name: str | None,
    any_signer: bool,
    operator: Path | None,
) -> None:
    """Bring a set to a site. Damaged, missing and foreign volumes are named, and the rest is used; run it again with what was found meanwhile.

    The site proves every chunk, takes what it has not, and leaves out what an erasure order had destroyed. Its signed arrival receipt is written beside the
    volumes. Ends with 0 when the site has all of the set, with 5 when something is still missing.

    \b
    Example:
        sento courier import /mnt/disk --site tw-taipei --key seal.key
    """

    async def work(
        place: CourierPlace, transport: GrpcTransport
    ) -> tuple[list[FoundSet], Imported, Told] | None:
        if site not in transport.sites:
            raise click.BadParameter(f"{site} is not a site of {app.config}.", param_hint="--site")
        try:
            governance = (await followed(place, transport, local=True)).followed.governance
        except SentoError:  # a site that is not whole yet answers nobody; what was followed before counts
            governance = place.trust_file.read().governance
        opener = place.opener(key, person_to_ask())
        judge = Judge(governance.ledger_id, None if any_signer else signers_of(governance), opener)
        found = scan_all(app, directories, judge)
        sets = chosen(found, set_name, chain=True)
        if not sets:
            for one in found:
                click.echo(f"{one.label}  {one.verdict}: {one.words}", err=True)
            return None
        if opener is None and any(each.header.recipients for each in sets):
            raise click.UsageError("The volumes are sealed: give the key that opens them with --key.")
        with bar_of(app.progress_console(), "importing", shown=not app.as_json, total=None) as (bar, task):

            def progress(words: str, done: int, of: int) -> None:
                bar.update(task, description=words, completed=done, total=of)

            async def stands() -> SiteStands:
                status = await transport.call(site, STATUS, admin_pb2.StatusRequest(), STATUS_TIMEOUT_MS)
                return SiteStands(status.flushed_block, status.flushed_size, status.payloads_awaited)

            async with open_line(transport, site) as line:
                imported = await Bringer(line, stands, judge, progress).bring(sets, governance, site)
        told = Told(transport)
        brought = {one.label for each in sets for one in each.holding("payloads")}
        for directory in directories:
            settle_untold(directory, governance.ledger_id, site, brought)
        for each in sets:
            for one in each.holding("payloads"):
                if one.header is not None:
                    volume = Volume(one.label, one.header.kind, "reimported", 0)
                    await told.note(volume, (site,))
        return sets, imported, told

    done = run_courier(
        app, operator, work, "Interrupted. What the site took stands; run it again for the rest."
    )
    if done is None:
        click.echo("There is no good volume here.", err=True)
        sys.exit(Exit.NOT_VERIFIED)
    _show_imported(app, directories[0], site, *done)


def _show_imported(
    app: App, directory: Path, site: str, sets: list[FoundSet], imported: Imported, told: Told
) -> None:
    """The findings and the receipt; ends the command with 5 when the site lacks something of the set."""
    arrival, goal = imported.signed.content, sets[-1].header
    path = receipt_path(directory, sets[-1], site)
    try:
        path.write_bytes(imported.arrival)
        written = str(path)
    except OSError as error:
        written = f"not written ({error.strerror})"
    bad = [one for each in sets for one in each.others if one.verdict not in ("duplicate", "other-set")]
    whole = arrival.size >= goal.to_size and not arrival.payloads_awaited and not imported.refused

    def people(console: Console) -> None:
        for one in bad:
            console.print(f"{one.label}  {one.verdict}: {one.words}", markup=False)
        for refused in imported.refused:
            console.print(f"{refused.volume}  refused by {site}: {refused.words}", markup=False)
        console.print(
            f"{site} has {arrival.size} records, root {arrival.root.hex()}, and awaits {arrival.payloads_awaited} payloads. "
            f"The set reaches to size {goal.to_size}.",
            markup=False,
        )
        console.print(f"Arrival receipt: {written}", markup=False)
        if told.untold:
            console.print(
                f"{site} has not noted the volumes as reimported: sento volumes reimported ...", markup=False
            )

    value = {
        "site": site,
        "set": goal.set_id.hex(),
        "size": arrival.size,
        "root": arrival.root.hex(),
        "goal": goal.to_size,
        "payloads_awaited": arrival.payloads_awaited,
        "chunks": imported.chunks,
        "bad": [found_value(one) for one in bad],
        "refused": [one._asdict() for one in imported.refused],
        "receipt": written,
        "untold": told.untold,
    }
    app.show(value, people)
    if not whole:
        sys.exit(Exit.DEGRADED)
