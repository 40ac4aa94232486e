"""`sento recover verify`: the new epoch proven, every known record asked for, and the gap list and the result sheet written.

The new epoch is proven first: governance followed into it, the officers' act with this very plan in it, and a tree under a quorum's cosignatures that goes on
from the root in the plan. Only then do its sites' words on single records count, and only those that a quorum of its receipt set says alike.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.courier_common import operator_option
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.plan_signing import PLAN_FILE, must_be_recovery, open_plan, signed_by
from sento_client.cli.recover_apply import read_applied
from sento_client.cli.recover_common import run_recovering
from sento_client.cli.recover_files import COLLECTED_FILE, moment_ms, open_collected, write_anew
from sento_client.cli.waiting import bar_of
from sento_client.governing.client import GoverningClient
from sento_client.recovering.collected import Known
from sento_client.recovering.gaps import GapList, SaidPlace, counts_of, encode_gaps, gap_list, gaps_csv
from sento_client.recovering.sheet import SheetFacts, result_sheet
from sento_client.setup_errors import SetupError
from sento_client.transport import STANDING
from sento_client.verifying import Verdict
from sento_proto.checkpoint import Checkpoint
from sento_proto.epoch_plan import EpochPlan, plan_hash
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2

BATCH = 1_000
STANDING_TIMEOUT_MS = 30_000
GAP_JSON, GAP_CSV, SHEET = "gap-list.json", "gap-list.csv", "result.txt"


class Proven(NamedTuple):
    """The new epoch's tree that a quorum cosigned, and the sites that could not be asked for records, with the reason."""

    checkpoint: Checkpoint
    gaps: GapList
    silent: tuple[str, ...]


@click.command(short_help="Prove the new epoch, list what is missing, print the sheet.")
@click.argument("plan_path", type=PLAN_FILE, metavar="PLAN")
@click.argument("path", type=COLLECTED_FILE, metavar="COLLECTED")
@click.option(
    "--stopped-at", metavar="MOMENT", help="When writing stopped, for the sheet: 2027-03-01T01:59:00+09:00."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="For gap list and sheet, written anew.",
)
@operator_option
@pass_app
def verify(app: App, plan_path: Path, path: Path, stopped_at: str | None, out: Path, operator: Path | None) -> None:  # fmt: skip
    """Prove that the new epoch goes on from the plan's root, ask for every record known as acknowledged, and write what does not stand.

    Ends with 0 when nothing is missing, with 5 while a gap is open, with 4 when the new epoch is not what the plan says.

    \b
    Example:
        sento recover verify plan.json collected.json --stopped-at 2027-03-01T13:58:00+09:00 --out result
    """
    stopped_at_ms = moment_ms(stopped_at)
    opened = open_plan(app, plan_path)
    must_be_recovery(opened.plan, wanted=True)
    try:
        known = open_collected(app, path).collected.known
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))

    async def work(client: GoverningClient) -> tuple[Proven, int]:
        checkpoint = await _prove(client, opened.plan)
        proven = await _ask_for(app, client, opened.plan, checkpoint, [one for one in known if one.at_home])
        return proven, client.wall_ms

    proven, now_ms = run_recovering(app, operator, work)
    gaps, checkpoint = proven.gaps, proven.checkpoint
    applied = read_applied(plan_path.with_name(f"{plan_path.name}.applied"))
    noted = applied is not None and applied.plan == plan_hash(opened.plan)
    began_at_ms, serving_at_ms = (applied.began_at_ms, applied.serving_at_ms) if applied and noted else (0, 0)
    lists = (GAP_JSON, GAP_CSV) if gaps.missing else ()
    words = f"{checkpoint.size} records of epoch {checkpoint.epoch} under a quorum's cosignatures"
    sheet = result_sheet(
        SheetFacts(
            opened.governance.name, opened.plan, signed_by(opened.plan, opened.governance), stopped_at_ms, began_at_ms, serving_at_ms, now_ms,
            words, gaps, lists,
        )
    )  # fmt: skip
    write_anew(out / GAP_JSON, encode_gaps(gaps))
    write_anew(out / GAP_CSV, gaps_csv(gaps).encode())
    write_anew(out / SHEET, sheet.encode())
    app.show(_value(proven, out), lambda console: _print(console, proven, words, out))
    sys.exit(Exit.DEGRADED if gaps.missing else Exit.OK)


async def _prove(client: GoverningClient, plan: EpochPlan) -> Checkpoint:
    """The newest tree of the plan's epoch. Raises SentoError: NOT_READY before the epoch stands, TWO_EPOCHS, DAMAGED, SetupError."""
    followed, checkpoint = await client.newest_proven()
    governance = followed.governance
    begun = next((epoch for epoch in governance.epochs if epoch.number == plan.epoch), None)
    if begun is None:
        raise SentoError(
            Code.NOT_READY,
            f"the sites show epoch {governance.epoch}, proven to {checkpoint.size} records; the plan's is {plan.epoch}",
        )
    if begun.plan != plan_hash(plan):
        raise SentoError(
            Code.TWO_EPOCHS,
            f"epoch {plan.epoch} was begun by plan {begun.plan.hex()[:16]}, this one is {plan_hash(plan).hex()[:16]}",
        )
    parent = plan.parent
    older = Checkpoint(plan.ledger_id, parent.epoch, parent.size, parent.root)
    finding = await client.prove_older(older, checkpoint)
    if finding.verdict is not Verdict.HOLDS:
        raise SentoError(Code.DAMAGED, f"the new epoch does not go on from the plan's root: {finding.why}")
    return checkpoint


async def _ask_for(
    app: App, client: GoverningClient, plan: EpochPlan, checkpoint: Checkpoint, known: Sequence[Known]
) -> Proven:
    """Every record, at every site of the receipt set that answers."""
    sites = [site for site in plan.receipt_set.sites if site in client.sites]
    silent = [f"{site}: no address here" for site in plan.receipt_set.sites if site not in client.sites]
    said: dict[bytes, list[SaidPlace]] = {one.record_hash: [] for one in known}
    with bar_of(
        app.progress_console(), "asking for records", shown=not app.as_json, total=len(known) * len(sites)
    ) as (bar, task):

        async def ask(site: str) -> None:
            for start in range(0, len(known), BATCH):
                part = [one.record_hash for one in known[start : start + BATCH]]
                try:
                    places = await _standing(client, site, plan, part)
                except SentoError as error:
                    silent.append(f"{site}: {error.code.name} {error.detail}")
                    return
                for record_hash, place in zip(part, places, strict=True):
                    said[record_hash].append(SaidPlace(site, place.position if place.stands else None))
                bar.advance(task, len(part))

        await asyncio.gather(*map(ask, sites))
    gaps = gap_list(plan.ledger_id, checkpoint.epoch, checkpoint.size, known, said, plan.receipt_set)
    return Proven(checkpoint, gaps, tuple(silent))


async def _standing(
    client: GoverningClient, site: str, plan: EpochPlan, hashes: Sequence[bytes]
) -> Sequence[admin_pb2.StandingReply.Place]:
    request = admin_pb2.StandingRequest(record_hashes=hashes)
    reply = await client.call_site(site, STANDING, request, timeout_ms=STANDING_TIMEOUT_MS)
    if reply.epoch < plan.epoch:
        raise SentoError(Code.EPOCH_ENDED, f"it answers from epoch {reply.epoch}")
    if len(reply.places) != len(hashes):
        raise SentoError(Code.DAMAGED, f"it answered for {len(reply.places)} of {len(hashes)} records")
    return reply.places


def _value(proven: Proven, out: Path) -> dict[str, object]:
    gaps = proven.gaps
    return {
        "epoch": gaps.epoch,
        "size": gaps.as_of_size,
        "asked": gaps.asked,
        "missing": len(gaps.missing),
        "waiting": gaps.waiting,
        "undecided": gaps.undecided,
        "disputed": dict(gaps.disputed),
        "by_registry": [
            {"registry": registry, "author": author, "missing": count}
            for registry, author, count in counts_of(gaps)
        ],
        "not_asked": list(proven.silent),
        "files": [str(out / name) for name in (GAP_JSON, GAP_CSV, SHEET)],
    }


def _print(console: Console, proven: Proven, words: str, out: Path) -> None:
    gaps = proven.gaps
    console.print(f"Verified: {words}.", markup=False)
    console.print(
        f"{gaps.asked} records known as acknowledged: {gaps.asked - len(gaps.missing)} stand, {len(gaps.missing)} do not."
    )
    for registry, author, count in counts_of(gaps):
        console.print(f"  {count:>8}  {registry} ({author})", markup=False)
    if gaps.waiting:
        console.print(f"{gaps.waiting} of them wait in outboxes and are sent again by themselves.")
    if gaps.undecided:
        console.print(f"{gaps.undecided} are undecided: too few sites of the receipt set answered alike.")
    for site, often in sorted(gaps.disputed.items()):
        console.print(f"WARNING: {site} said another place than a quorum, {often} times.", markup=False)
    for line in proven.silent:
        console.print(f"Not asked: {line}", markup=False)
    console.print(f"Written to {out}: {GAP_JSON}, {GAP_CSV} and the sheet {SHEET}.", markup=False)
