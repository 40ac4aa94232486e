"""`sento recover`: a new epoch from what survives when the majority of voting sites is gone; here what is collected and what is only looked at."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.courier_common import operator_option
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.plan_signing import heading, open_plan, plan_value, print_plan
from sento_client.cli.receipt_place import receipts_directory
from sento_client.cli.recover_apply import apply
from sento_client.cli.recover_common import run_recovering
from sento_client.cli.recover_files import (
    COLLECTED_FILE,
    followed_furthest,
    is_collection,
    open_collected,
    read_bytes,
    write_new,
)
from sento_client.cli.recover_plan import plan, rehearse, sign
from sento_client.cli.recover_verify import verify
from sento_client.cli.recover_view import collected_value, print_collected
from sento_client.cli.waiting import bar_of
from sento_client.config import load_config
from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.governing.trust_file import encode_trust
from sento_client.recovering.collected import Collected, Silent, SurveyFile, encode_collected, merged
from sento_client.recovering.evidence import UNHEARD
from sento_client.recovering.planning import witnesses_of
from sento_client.recovering.stores import Found, read_outbox, read_receipts
from sento_client.recovering.survey_files import judge_survey
from sento_client.setup_errors import SetupError
from sento_client.transport import SURVEY
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.survey import SURVEY as SURVEY_KIND
from sento_proto.v1 import admin_pb2

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_ASKED = tuple[SurveyFile | None, Silent | None]


@click.group(short_help="After the majority is gone: collect, plan, sign, apply, verify.")
def recover() -> None:
    """Go on from what survives, in a new epoch, after the majority of voting sites is gone.

    \b
    In this order (runbook: recover):
        sento recover collect --out collected.json                     also --survey FILE from stopped sites, --receipts DIR, --outbox DIR
        sento recover rehearse collected.json                          what would happen; decides and writes nothing
        sento recover plan collected.json --legal-basis "..." --out plan.json
        sento recover sign plan.json                                   at each officer's computer
        sento recover apply plan.json
        sento recover verify plan.json collected.json --out result
    """


@recover.command()
@click.option(
    "--survey",
    "surveys",
    type=COLLECTED_FILE,
    multiple=True,
    metavar="FILE",
    help="A survey of a stopped site or a copy (sento-node survey).",
)
@click.option(
    "--receipts",
    "receipts",
    type=_DIRECTORY,
    multiple=True,
    metavar="DIR",
    help="Receipts of this or another computer.",
)
@click.option(
    "--outbox",
    "outboxes",
    type=_DIRECTORY,
    multiple=True,
    metavar="DIR",
    help="An outbox of this or another computer.",
)
@click.option(
    "--trust",
    "trusts",
    type=COLLECTED_FILE,
    multiple=True,
    metavar="FILE",
    help="Another computer's trust.json: it may know more acts.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For each site.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="A new file.",
)
@operator_option
@pass_app
def collect(
    app: App, surveys: tuple[Path, ...], receipts: tuple[Path, ...], outboxes: tuple[Path, ...], trusts: tuple[Path, ...], timeout_s: float, out: Path,
    operator: Path | None,
) -> None:  # fmt: skip
    """Ask every site what it holds and whom it hears, and read what is known outside of the sites, into one file.

    An institution's own receipts and outbox are read without being named. Nothing is changed anywhere. Ends with 5 where something could not be read or a site
    did not answer: the file is whole, and says so.

    \b
    Example:
        sento recover collect --survey akita.survey.json --receipts /media/town/receipts --out collected.json
    """  # fmt: skip
    if out.exists():
        raise click.UsageError(f"{out} is there already; name another file with --out.")
    others = tuple(read_bytes(path) for path in trusts)
    files = tuple(SurveyFile(False, read_bytes(path, SURVEY_KIND.max_bytes)) for path in surveys)

    async def work(client: GoverningClient) -> tuple[Collected, Followed]:
        found, genesis = Found(), client.place.trust_file
        own = await _followed(client, found)
        followed = followed_furthest(genesis, (encode_trust(genesis.genesis_bytes, own), *others))
        brought = [(judge_survey(file, followed.governance).site, file) for file in files]
        asked = await _ask_all(app, client, followed.governance, int(timeout_s * 1000))
        _require_role([silent for _, silent in asked])
        answering = [
            judge_survey(survey, followed.governance).site for survey, _ in asked if survey is not None
        ]
        kept = _once(brought, answering, found)
        await asyncio.to_thread(_read_stores, app, client, receipts, outboxes, followed.governance, found)
        collected = Collected(
            followed.governance.ledger_id,
            time.time_ns() // 1_000_000,
            (*(survey for survey, _ in asked if survey is not None), *kept),
            tuple(silent for _, silent in asked if silent is not None),
            tuple(dict.fromkeys((encode_trust(genesis.genesis_bytes, own), *others))),
            tuple(dict.fromkeys(found.checkpoints)),
            merged(found.known),
            tuple(found.notes),
        )
        return collected, followed

    collected, followed = run_recovering(app, operator, work)
    write_new(out, encode_collected(collected))
    witnesses = witnesses_of(collected, followed)

    def people(console: Console) -> None:
        print_collected(console, collected, witnesses)
        console.print(f"Written to {out}. Next: sento recover rehearse {out}", markup=False)

    app.show(collected_value(collected, witnesses) | {"file": str(out)}, people)
    if collected.silent or collected.notes:
        sys.exit(Exit.DEGRADED)


def _require_role(silent: Sequence[Silent | None]) -> None:
    """Raises SentoError where every site that was reached turns this certificate away: that is no evidence of anything."""
    refused = Code.IDENTITY_REFUSED.name
    reached = [one for one in silent if one is None or not one.words.startswith(UNHEARD)]
    if reached and all(one is not None and one.words.startswith(refused) for one in reached):
        raise SentoError(
            Code.IDENTITY_REFUSED,
            "sites are surveyed by operators and officers; name an operator's certificate with --operator DIR, or use an officer's sento.toml",
        )


def _once(brought: list[tuple[str, SurveyFile]], answering: list[str], found: Found) -> list[SurveyFile]:
    """The files that were brought, without those of sites that answer themselves. Raises SentoError BAD_REQUEST for two of one site."""
    names = [site for site, _ in brought]
    twice = sorted({site for site in names if names.count(site) > 1})
    if twice:
        raise SentoError(Code.BAD_REQUEST, f"two files of {twice[0]} with --survey: leave the older one out")
    found.notes += [
        f"{site} answers by itself: the survey file of it is left out." for site in names if site in answering
    ]
    return [file for site, file in brought if site not in answering]


async def _followed(client: GoverningClient, found: Found) -> Followed:
    """Governance as a survivor shows it, or as this computer has it on disk."""
    try:
        return await client.follow(local=True)
    except SentoError as error:
        found.notes.append(
            f"No site shows its governance ({error.code.name}): what this computer followed before counts."
        )
        return client.place.trust_file.read()


async def _ask_all(
    app: App, client: GoverningClient, governance: Governance, timeout_ms: int
) -> list[_ASKED]:
    """Each configured site's survey, or why there is none."""
    with bar_of(app.progress_console(), "asking sites", shown=not app.as_json, total=len(client.sites)) as (
        bar,
        task,
    ):

        async def ask(site: str) -> _ASKED:
            try:
                reply = await client.call_site(site, SURVEY, admin_pb2.SurveyRequest(), timeout_ms=timeout_ms)
                file = SurveyFile(True, reply.survey)
                judge_survey(file, governance)
            except SentoError as error:
                words = " ".join(
                    f"{error.code.name} {error.detail.removeprefix(site).removeprefix(': ')}".split()
                )
                return None, Silent(site, client.wall_ms, words)
            finally:
                bar.advance(task)
            return file, None

        return list(await asyncio.gather(*map(ask, client.sites)))


def _read_stores(
    app: App, client: GoverningClient, receipts: tuple[Path, ...], outboxes: tuple[Path, ...], governance: Governance, found: Found
) -> None:  # fmt: skip
    """What the named directories hold, and those of this institution's configuration."""
    named = {path.resolve() for path in (*receipts, *outboxes)}
    if client.place.officer is None:
        config = load_config(app.config)
        receipts = (*receipts, receipts_directory(config))
        outboxes = (*outboxes, *([] if config.outbox is None else [config.outbox.directory]))
    for directory in dict.fromkeys(path.resolve() for path in receipts):
        read_receipts(directory, governance, found, named=directory in named)
    for directory in dict.fromkeys(path.resolve() for path in outboxes):
        read_outbox(directory, governance.ledger_id, found, named=directory in named)


@recover.command()
@click.argument("path", type=COLLECTED_FILE, metavar="FILE")
@pass_app
def show(app: App, path: Path) -> None:
    """Say in words what a collection holds, or what a plan decides and who signed it.

    \b
    Example:
        sento recover show plan.json
    """
    if not is_collection(path):
        opened = open_plan(app, path)
        heading(app, opened.place)
        app.show(
            plan_value(opened.plan, opened.governance),
            lambda console: print_plan(console, opened.plan, opened.governance),
        )
        return
    try:
        collection = open_collected(app, path)
        witnesses = witnesses_of(collection.collected, collection.followed)
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    heading(app, collection.place)
    app.show(
        collected_value(collection.collected, witnesses),
        lambda console: print_collected(console, collection.collected, witnesses),
    )


for command in (rehearse, plan, sign, apply, verify):
    recover.add_command(command)
