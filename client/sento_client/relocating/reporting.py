"""The report at the end: the same head, nothing lost, the longest time without a record, the lines between the sites. Pure.

What it says rests on the proof that the tree before the move is the beginning of the tree after it, and on measurements; where one is missing it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sento_client.relocating.journal import Journal, Stand
from sento_client.relocating.measuring import pause_sentence, round_trip_lines, together
from sento_client.site_status.wording import counted, span
from sento_proto.relocation_plan import RelocationPlan, Stage

_STAGES = {
    Stage.NOT_BEGUN: "The plan was not begun.",
    Stage.GIVEN: "The plan is under way: the new votes are given, and nobody is retired yet.",
    Stage.RETIRED: "The plan was carried out: the former votes are retired.",
    Stage.UNDONE: "The plan was backed out: votes are as they were before.",
    Stage.STALE: "The plan was not begun, and another officers' act came first.",
    Stage.OVERTAKEN: "The plan is half way: another officers' act came behind its first one.",
}


class Ending(NamedTuple):
    """What was found last. `same_head`: whether a site proved that the tree before is the beginning of the tree now; None where there is nothing to compare."""

    stage: Stage
    lead: str
    same_head: bool | None
    now: Stand | None


def report_lines(plan: RelocationPlan, journal: Journal, ending: Ending) -> tuple[str, ...]:
    """For people, one sentence a line."""
    before, after, now = journal.before, journal.after, ending.now
    lines = [_STAGES[ending.stage]]
    if before is None:
        lines.append(
            "How the ledger stood before was not kept on this computer, so the heads are not compared."
        )
    elif now is None:
        lines.append("How the ledger stands now cannot be told, so the heads are not compared.")
    else:
        lines.append(_head_line(before, now, ending.same_head))
    if before is not None and after is not None:
        lines.append(
            f"Lead before: {before.lead or 'not known'}; at the end: {after.lead or 'not known'}; now: {ending.lead or 'not known'}."
        )
        lines.append(f"It took {span(max(0, after.at_ms - before.at_ms))} from the first look to the last.")
    lines.append(pause_sentence(together(journal.watched)))
    if before is not None and after is not None:
        lines += [
            f"Round trip {line}." for line in round_trip_lines(before.round_trips_us, after.round_trips_us)
        ]
    return tuple(lines)


def registry_lines(plan: RelocationPlan, lead: str, stand: Stand | None) -> tuple[str, ...]:
    """One line for each registry, in the plan's order: where it is taken in, under which head, and how far the site there is behind."""
    if stand is None:
        return tuple(f"{registry} ACTIVE at {lead or 'nobody'}" for registry in plan.registries)
    tree, behind = stand.tree, max(0, max(stand.sizes.values(), default=0) - stand.sizes.get(lead, 0))
    return tuple(
        f"{registry} ACTIVE at {lead or 'nobody'}, head of {tree.size:,} records {tree.root.hex()[:16]}, lag {counted(behind, 'record')}"
        for registry in plan.registries
    )


def report_value(plan: RelocationPlan, journal: Journal, ending: Ending) -> dict[str, object]:
    """The same for programs."""
    growth = together(journal.watched)
    return {
        "plan": journal.plan.hex(),
        "stage": str(ending.stage),
        "lead": ending.lead,
        "registries": list(plan.registries),
        "before": _stand_value(journal.before),
        "after": _stand_value(journal.after),
        "now": _stand_value(ending.now),
        "same_head": ending.same_head,
        "lost": 0 if ending.same_head else None,
        "longest_pause_ms": growth.longest_ms if growth.growths > 1 else None,
        "records_while_watched": growth.records,
        "steps": [{"at_ms": at_ms, "words": words} for at_ms, words in journal.steps],
    }


def _head_line(before: Stand, after: Stand, same_head: bool | None) -> str:
    was, now = before.tree, after.tree
    if same_head is None:
        return f"The head of {was.size:,} records before was not compared with the one of {now.size:,} now."
    if not same_head:
        return (
            f"NOT PROVEN: no site could show that the head of {was.size:,} records before is the beginning of the {now.size:,} now. "
            "Keep the journal, and compare sento status of all sites."
        )
    return (
        f"Same head: the tree of {was.size:,} records before ({was.root.hex()[:16]}) is proven to be the beginning of the {now.size:,} now "
        f"({now.root.hex()[:16]}); lost: none."
    )


def _stand_value(stand: Stand | None) -> Mapping[str, object] | None:
    if stand is None:
        return None
    tree = stand.tree
    return {
        "at_ms": stand.at_ms,
        "size": tree.size,
        "root": tree.root.hex(),
        "sizes": dict(stand.sizes),
        "round_trips_us": dict(stand.round_trips_us),
        "lead": stand.lead,
    }
