"""`sento status`: a sentence first, then what is wrong, then the sites."""

from __future__ import annotations

import sys

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.client import SentoClient
from sento_client.site_status import Judgement, SiteReport, judge

_MIB = 1024 * 1024
_NUMBERS = ("applied", "flushed", "cosigned", "behind", "log\nMiB", "free\nMiB")


@click.command()
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="For each site.",
)
@pass_app
def status(app: App, timeout: float) -> None:
    """Say how the registry stands: what is fine, what may be lost now, and each site's part in it.

    Ends with 0 only when nothing is degraded, with 5 when something is, with 3 when no site answers.

    \b
    Example:
        sento status
        sento --json status | jq .degraded
    """

    async def work(sento: SentoClient) -> tuple[Judgement, list[SiteReport]]:
        reports = await sento.status(timeout_ms=int(timeout * 1000))
        return judge(sento.genesis, reports), reports

    judgement, reports = app.run(work)
    value = {
        "sentence": judgement.sentence,
        "degraded": judgement.degraded,
        "problems": list(judgement.problems),
        "sites": [_site_value(report) for report in reports],
    }

    def people(console: Console) -> None:
        console.print(judgement.sentence)
        for problem in judgement.problems:
            console.print(f"  - {problem}", markup=False)
        console.print(_table(reports))

    app.show(value, people)
    if not judgement.reachable:
        sys.exit(Exit.UNREACHABLE)
    if judgement.degraded:
        sys.exit(Exit.DEGRADED)


def _site_value(report: SiteReport) -> dict[str, object]:
    status = report.status
    if status is None:
        return {"site": report.site, "reachable": False, "trouble": report.trouble}
    return {
        "site": report.site,
        "reachable": True,
        "state": status.state,
        "explanation": status.explanation,
        "lead": status.is_lead,
        "epoch": status.epoch,
        "boot_number": status.boot_number,
        "version": status.version,
        "applied_size": status.applied_size,
        "flushed_size": status.flushed_size,
        "quorum_size": status.quorum_size,
        "ordering_in_use_bytes": status.ordering_in_use_bytes,
        "ordering_quota_bytes": status.ordering_quota_bytes,
        "disk_free_bytes": status.disk_free_bytes,
        "certificate_expires_at_s": status.certificate_expires_at_s,
        "queued_records": status.queued_records,
        "alarms": [*status.alarms, *status.ordering_alarms],
    }


def _table(reports: list[SiteReport]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("site", no_wrap=True)
    table.add_column("state", min_width=13, overflow="fold")
    for name in _NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    furthest = max((report.status.applied_size for report in reports if report.status is not None), default=0)
    for report in reports:
        status = report.status
        if status is None:
            table.add_row(report.site, "[red]no answer[/]", *[""] * len(_NUMBERS))
            continue
        state = status.state if report.serves else f"[yellow]{status.state}[/]"
        if status.is_lead:
            state += ", lead"
        table.add_row(
            report.site,
            state,
            str(status.applied_size),
            str(status.flushed_size),
            str(status.quorum_size),
            str(furthest - status.applied_size),
            str(status.ordering_in_use_bytes // _MIB),
            str(status.disk_free_bytes // _MIB),
        )
    return table
