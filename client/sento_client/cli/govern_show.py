"""`sento govern show`: who may do what, in words and in sections, now or at an earlier position; and the acts that made it so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.govern_common import ledger_value, run_governing
from sento_client.cli.parameters import POSITION
from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed, Step
from sento_client.governing.sections import AuthorUse, sections
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance


class Seen(NamedTuple):
    """What is shown. `usage` is None where it was not to be had, or is of another time."""

    followed: Followed
    governance: Governance
    steps: tuple[Step, ...]
    usage: list[AuthorUse] | None


@click.command(short_help="Who may do what, in words, and the acts that made it so.")
@click.option("--acts", "only_acts", is_flag=True, help="Only the list of acts and announcements.")
@click.option(
    "--at",
    "position",
    type=POSITION,
    metavar="POSITION",
    help="The governance by which a record at this position was judged.",
)
@click.option("--local", is_flag=True, help="As one site knows it, at once, also when that site is cut off.")
@pass_app
def show(app: App, only_acts: bool, position: int | None, local: bool) -> None:
    """Show governance in words: ledger, officers, authors with keys and budgets, readers, registries, sites, recovery keys, erasures, read log, acts.

    Every act was verified on this computer, from the genesis file on. Budgets in use are one site's word, and are shown to officers and operators.

    \b
    Examples:
        sento govern show
        sento govern show --acts
        sento --json govern show --at 12000 | jq .authors
    """  # fmt: skip

    async def work(client: GoverningClient) -> Seen:
        followed = await client.follow(local=local)
        if position is not None:
            steps = tuple(step for step in followed.steps if step.position < position)
            return Seen(followed, followed.at(position), steps, None)
        usage = None if only_acts else await _usage(client)
        return Seen(followed, followed.governance, followed.steps, usage)

    seen = run_governing(app, work)
    shown = [] if only_acts else sections(seen.governance, seen.usage)
    value: dict[str, object] = {"ledger": ledger_value(seen.governance), "position": position}
    value |= {section.name: section.value for section in shown}
    value["acts"] = [_step_value(step) for step in seen.steps]

    def people(console: Console) -> None:
        if position is not None:
            console.print(f"As of position {position}.")
        for section in shown:
            _print_section(console, section.title, section.lines)
        _print_section(console, "Acts and announcements", _step_lines(seen.steps))

    app.show(value, people)


async def _usage(client: GoverningClient) -> list[AuthorUse] | None:
    """How full budgets are; None for an institution, which is not told."""
    try:
        return await client.usage()
    except SentoError as error:
        if error.code is Code.IDENTITY_REFUSED:
            return None
        raise


def _print_section(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(f"\n[bold]{title}[/]")
    for line in lines or ("none",):
        console.print(f"  {line}", markup=False)


def _step_lines(steps: Sequence[Step]) -> list[str]:
    lines: list[str] = []
    for step in steps:
        if step.act is None:
            lines.append(f"position {step.position}: {step.words[0]}")
            continue
        lines.append(
            f"position {step.position}, act {step.stored.record_hash.hex()[:16]}, signed by {', '.join(step.signed_by)}: {step.act.reason}"
        )
        lines += [f"    - {words}" for words in step.words]
    return lines


def _step_value(step: Step) -> dict[str, object]:
    kind = "announcement" if step.act is None else "act"
    return {
        "kind": kind,
        "position": step.position,
        "record_hash": step.stored.record_hash.hex(),
        "signed_by": list(step.signed_by),
        "reason": None if step.act is None else step.act.reason,
        "words": list(step.words),
    }
