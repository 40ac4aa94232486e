"""What `sento courier` and `sento backup` share: who they speak as, sizes in words, making a set, and proving the sets of a directory."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from sento_client.asker import Asker
from sento_client.cli.app import App
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.prompts import person_to_ask
from sento_client.cli.waiting import bar_of
from sento_client.composing import Ports
from sento_client.courier.catalogue import SetEntry, alone_in
from sento_client.courier.exporting import (
    DEFAULT_PAYLOAD_ORDER,
    VOLUME_MIN_BYTES,
    Maker,
    Progress,
    Wish,
    export_set,
    registries_in_order,
)
from sento_client.courier.fetching import SiteChunks
from sento_client.courier.place import CourierPlace, open_courier_place, recipient_keys
from sento_client.courier.reading import (
    Found,
    FoundSet,
    Judge,
    scan,
    sets_in,
    signers_of,
    sort_set,
    volume_paths,
)
from sento_client.courier.telling import Told
from sento_client.courier.untold import NAME as UNTOLD_NAME
from sento_client.courier.untold import read_untold, write_untold
from sento_client.courier.verifying import Verified, verify_sets
from sento_client.governing.follower import Follower
from sento_client.governing.trust_file import FILE_MAX_BYTES, Trusted, decode_trust_alone
from sento_client.grpc_transport import GrpcTransport
from sento_client.keyfiles import read_seal_opener
from sento_client.results import Freshness
from sento_client.setup_errors import SetupError
from sento_proto.erasure_certificate import Volume
from sento_proto.errors import SentoError
from sento_proto.seal import SealOpener
from sento_proto.volume import VolumeHeader
from sento_proto.wire import Malformed

T = TypeVar("T")
LOCAL_TIMEOUT_MS = 5_000
"""A site that was cut off since its beginning has nothing to tell, and volumes need not wait for it."""
DIRECTORY = click.Path(file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, file_okay=False, path_type=Path)
_SIZE = re.compile(r"([1-9][0-9]{0,9}) ?(KB|MB|GB|KiB|MiB|GiB)")
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class SizeType(click.ParamType[int]):
    """A size with its unit: 64MB, 4GiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """In bytes."""
        match = _SIZE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value} is no size; write it like 64MB or 4GB.", param, ctx)
        size_bytes = int(match[1]) * _UNITS[match[2]]
        if size_bytes < VOLUME_MIN_BYTES:
            self.fail(f"{value} is too small; volumes have at least 5MB.", param, ctx)
        return size_bytes


volume_size_option = click.option(
    "--volume-size",
    type=SizeType(),
    default="64MB",
    show_default=True,
    metavar="SIZE",
    help="How large volumes may be.",
)
operator_option = click.option(
    "--operator",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="An operator's client.pem and client.key, where sento.toml has another's certificate.",
)
trust_option = click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="trust.json of the ledger (sento govern trust --out).",
)
key_option = click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The seal key that the volumes are sealed to.",
)


def run_courier(
    app: App, operator: Path | None, work: Callable[[CourierPlace, GrpcTransport], Awaitable[T]], stopped: str
) -> T:
    """Open, work, close; an error is shown and ends the command. `stopped`: what is told after Ctrl-C."""

    async def within() -> T:
        place = open_courier_place(app.config, operator)
        transport = GrpcTransport(place.sites, place.tls)
        try:
            return await work(place, transport)
        finally:
            await transport.close()

    try:
        return asyncio.run(within())
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    except KeyboardInterrupt:
        click.echo(stopped, err=True)
        sys.exit(Exit.INTERRUPTED)


async def followed(place: CourierPlace, transport: GrpcTransport, *, local: bool = False) -> Follower:
    """Governance as the sites know it now; with `local`, from a site that is cut off too. Raises SentoError, SetupError."""
    follower = Follower(Asker(transport, Ports()), place.trust_file.read(), place.trust_file)
    if local:
        await follower.refresh(min(place.deadline_ms, LOCAL_TIMEOUT_MS), freshness=Freshness.LOCAL)
    else:
        await follower.refresh(place.deadline_ms)
    return follower


def make_set(
    app: App,
    directory: Path,
    *,
    kind: str,
    operator: Path | None,
    volume_bytes: int,
    to: tuple[str, ...],
    registries: tuple[str, ...] = (),
    spine_copies: int = 2,
) -> tuple[SetEntry | None, Told]:
    """Make a set in `directory`, with a bar; the set, and whom sites were told. What they did not hear stays beside the volumes. Ends the command on errors."""

    async def work(place: CourierPlace, transport: GrpcTransport) -> tuple[SetEntry | None, Told]:
        signer = place.signer(person_to_ask())
        follower = await followed(place, transport)
        governance = follower.followed.governance
        wanted = registries_in_order(governance.registries, registries or DEFAULT_PAYLOAD_ORDER)
        wish = Wish(
            kind, volume_bytes, wanted, recipient_keys(governance, to), spine_copies, governance.epochs
        )
        told, ports = Told(transport), Ports()
        owed = read_untold(directory, governance.ledger_id)
        await told.note_owed(owed)
        source = SiteChunks(transport, governance.ledger_id, ports)
        with bar_of(app.progress_console(), "begins", shown=not app.as_json, total=None) as (bar, task):

            def progress(now: Progress) -> None:
                words = f"{now.stage}, volume {now.volumes + 1}"
                bar.update(task, description=words, completed=now.done, total=now.total)

            async def note(volume: Volume) -> None:
                owed_before = len(told.owed)
                await told.note(volume)
                if len(told.owed) != owed_before:
                    write_untold(directory, governance.ledger_id, told.owed)

            maker = Maker(governance.ledger_id, signer, ports, note, progress)
            if tuple(told.owed) != owed:
                write_untold(directory, governance.ledger_id, told.owed)
            return await export_set(source, directory, wish, maker), told

    def alone(place: CourierPlace, transport: GrpcTransport) -> Awaitable[tuple[SetEntry | None, Told]]:
        async def within() -> tuple[SetEntry | None, Told]:
            with alone_in(directory):
                return await work(place, transport)

        return within()

    return run_courier(
        app, operator, alone, "Interrupted. Whole volumes stay; the same command goes on behind them."
    )


def show_made(app: App, directory: Path, entry: SetEntry | None, told: Told) -> None:
    """What was made, and what sites were not told. A site that is away is told by the next run; a volume that no site noted ends the command with 5."""

    def people(console: Console) -> None:
        if entry is None:
            console.print("Nothing new: the directory holds all that a quorum cosigned.")
        else:
            console.print(
                f"Set {entry.set_id.hex()}: {entry.volumes} volumes in {directory}, {entry.to_size - entry.from_size} records "
                f"through size {entry.to_size}, root {entry.root.hex()}.",
                markup=False,
            )
        for site, numbers in sorted(told.untold.items()):
            console.print(
                f"{site} was not told of {len(numbers)} volumes, from {numbers[0]} on; {UNTOLD_NAME} keeps them, and the next run into this directory "
                f"tells it. By hand: sento volumes add ... --site {site}",
                markup=False,
            )
        if told.unheard:
            console.print(
                f"No site noted {len(told.unheard)} of the volumes, so no erasure certificate will list them: give an operator's certificate with --operator.",
                markup=False,
            )

    value: dict[str, object] = {"set": None}
    if entry is not None:
        value = {
            "set": entry.set_id.hex(),
            "volumes": entry.volumes,
            "from_size": entry.from_size,
            "to_size": entry.to_size,
            "root": entry.root.hex(),
        }
    app.show({**value, "untold": told.untold, "unheard": told.unheard}, people)
    if told.unheard:
        sys.exit(Exit.DEGRADED)


def read_trust(path: Path) -> Trusted:
    """The trust file. Raises click.UsageError."""
    try:
        with path.open("rb") as file:
            return decode_trust_alone(file.read(FILE_MAX_BYTES + 1))
    except (OSError, Malformed) as error:
        raise click.UsageError(f"{path} is no trust file: {error}.") from None


def opener_of(app: App, key: Path | None) -> SealOpener | None:
    """What opens seals; None without a key file. Ends the command when it cannot be used."""
    if key is None:
        return None
    try:
        return read_seal_opener(key)
    except SetupError as error:
        app.show_error(error)
        sys.exit(exit_of(error))


def judge_of(trusted: Trusted, opener: SealOpener | None) -> Judge:
    """Volumes are signed by those whom governance knows."""
    governance = trusted.followed.governance
    return Judge(governance.ledger_id, signers_of(governance), opener)


def scan_all(app: App, directories: Sequence[Path], judge: Judge) -> list[Found]:
    """Every volume in the directories, read with a bar. Raises click.UsageError."""
    try:
        paths = volume_paths(directories)
        with bar_of(app.progress_console(), "reading", shown=not app.as_json, total=len(paths)) as (
            bar,
            task,
        ):
            return scan(paths, judge, lambda done, of: bar.update(task, completed=done, total=of))
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None


def goes_on_from(later: VolumeHeader, earlier: VolumeHeader) -> bool:
    """Whether a set begins where the other ends; in a later epoch also where that forked off, inside the other."""
    if later.epoch == earlier.epoch:
        return earlier.to_block == later.from_block
    return earlier.epoch < later.epoch and earlier.from_block < later.from_block <= earlier.to_block


def chosen(found: Sequence[Found], set_name: str | None, *, chain: bool) -> list[FoundSet]:
    """The set that is meant: the one named, or the one that reaches furthest; with `chain` behind those it goes on from. Empty when there is none."""
    known = sets_in(found)
    wanted = [each for each in known if set_name is None or each.hex() == set_name]
    if not wanted:
        return []
    sets = [sort_set(found, wanted[-1])]
    others = [sort_set(found, each) for each in known if each != wanted[-1]] if chain else []
    while sets[0].header.from_block:
        before = [each for each in others if goes_on_from(sets[0].header, each.header)]
        if not before:
            break
        sets.insert(0, before[-1])
    return sets


def show_verified(app: App, sets: Sequence[FoundSet], found: Sequence[Found], result: Verified) -> None:
    """The findings; ends the command with 4 when something is bad or missing."""

    def people(console: Console) -> None:
        for one in result.bad:
            console.print(f"{one.label}  {one.verdict}: {one.words}", markup=False)
        for words in result.troubles:
            console.print(words, markup=False)
        header = sets[-1].header
        good = sum(len(each.good) for each in sets)
        console.print(
            f"{good} good volumes of set {header.set_id.hex()}, through size {header.to_size}.", markup=False
        )
        if not result.opened:
            console.print("The volumes are sealed and no --key was given: only their outside was proven.")
            return
        console.print(
            f"The spine proves {result.size} records, root {result.root.hex()}. {result.payloads} payloads are right; "
            f"{result.payloads_left_out} are not in these volumes (erased, or awaited where they were made).",
            markup=False,
        )

    value = {
        "ok": result.ok,
        "sets": [each.header.set_id.hex() for each in sets],
        "good": sum(len(each.good) for each in sets),
        "bad": [found_value(one) for one in result.bad],
        "troubles": list(result.troubles),
        "opened": result.opened,
        "size": result.size,
        "root": result.root.hex(),
        "payloads": result.payloads,
        "payloads_left_out": result.payloads_left_out,
    }
    app.show(value, people)
    if not result.ok:
        sys.exit(Exit.NOT_VERIFIED)


def found_value(found: Found) -> dict[str, object]:
    """A volume as JSON."""
    return {
        "volume": found.label,
        "verdict": found.verdict,
        "words": found.words,
        "file": str(found.path or ""),
    }


def verify_directories(
    app: App, directories: Sequence[Path], trust: Path, key: Path | None, set_name: str | None, *, chain: bool
) -> None:
    """Prove the volumes of these directories and show it; ends the command with 4 when something is not good."""
    trusted = read_trust(trust)
    judge = judge_of(trusted, opener_of(app, key))
    found = scan_all(app, directories, judge)
    sets = chosen(found, set_name, chain=chain)
    if not sets:
        for one in found:
            click.echo(f"{one.label}  {one.verdict}: {one.words}", err=True)
        click.echo("There is no good volume here.", err=True)
        sys.exit(Exit.NOT_VERIFIED)
    if any(each.header.recipients for each in sets) and judge.opener is None:
        click.echo("Sealed volumes; with --key their contents are proven too.", err=True)
    total = sum(len(each.good) for each in sets)
    with bar_of(app.progress_console(), "proving", shown=not app.as_json, total=total) as (bar, task):
        result = verify_sets(
            sets, trusted, judge, lambda done, of: bar.update(task, completed=done, total=of)
        )
    show_verified(app, sets, found, result)
