"""How recovery looks: survivors side by side with the evidence under them, and the sites of a plan while it is carried out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sento_client.cli.terminal import printable
from sento_client.recovering.applying import SiteState, Stage
from sento_client.recovering.collected import Collected
from sento_client.recovering.evidence import evidence_words
from sento_client.recovering.survey_files import Witness

_STYLES = {
    Stage.SERVING: "bold green",
    Stage.REFUSED: "bold red",
    Stage.SILENT: "yellow",
    Stage.BEGINNING: "cyan",
}


def collected_value(collected: Collected, witnesses: Sequence[Witness]) -> dict[str, object]:
    """For programs."""
    return {
        "ledger": collected.ledger_id.hex(),
        "collected_at_ms": collected.made_at_ms,
        "survivors": [_witness_value(one) for one in witnesses],
        "silent": [one._asdict() for one in collected.silent],
        "evidence": list(evidence_words(witnesses, collected.silent)),
        "known": len(collected.known),
        "acknowledged": sum(one.at_home for one in collected.known),
        "in_outboxes": sum(one.waits for one in collected.known),
        "notes": list(collected.notes),
    }


def _witness_value(witness: Witness) -> dict[str, object]:
    survey = witness.survey
    return {
        "site": survey.site,
        "epoch": survey.epoch,
        "signed": witness.signed,
        "answered": witness.answered,
        "ledger": survey.tip.size,
        "with_log": survey.extended.size,
        "root": survey.extended.root.hex(),
        "agreed": None if survey.agreed is None else survey.agreed.size,
        "cosigned": survey.cosigned_size,
        "has_majority": survey.has_majority,
        "trouble": "" if survey.tail is None else survey.tail.trouble,
    }


def print_collected(console: Console, collected: Collected, witnesses: Sequence[Witness]) -> None:
    """For people: figures first, then who answers whom."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("survivor", "epoch", "ledger", "with its log", "agreed", "log ends at", ""):
        table.add_column(title, justify="left" if title in ("survivor", "") else "right")
    for one in sorted(witnesses, key=lambda one: (-one.survey.extended.size, one.site)):
        survey, tail = one.survey, one.survey.tail
        table.add_row(
            survey.site,
            str(survey.epoch),
            f"{survey.tip.size:,}",
            f"{survey.extended.size:,}",
            "none" if survey.agreed is None else f"{survey.agreed.size:,}",
            "no log" if tail is None else f"{tail.last_term}/{tail.last_index}",
            "" if one.signed else "NOT SIGNED",
        )
    console.print(table, soft_wrap=False)
    for words in evidence_words(witnesses, collected.silent):
        console.print(f"  * {words}", markup=False)
    known = len(collected.known)
    at_home, waits = sum(one.at_home for one in collected.known), sum(one.waits for one in collected.known)
    console.print(
        f"{known} records known from receipts and outboxes: {at_home} acknowledged, {waits} still in outboxes."
    )
    for note in collected.notes:
        console.print(f"  ! {printable(note)}", markup=False)


def states_table(states: Iterable[SiteState]) -> Table:
    """The sites of a plan, as they stand."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("site", "stage", "records", "set aside", "in words"):
        table.add_column(
            title, justify="right" if title in ("records", "set aside") else "left", overflow="fold"
        )
    for state in states:
        table.add_row(
            state.site,
            Text(state.stage.value, _STYLES.get(state.stage, "")),
            f"{state.size:,}" if state.size else "",
            f"{state.set_aside:,}" if state.set_aside else "",
            Text(printable(state.words)),
        )
    return table


def states_value(states: Iterable[SiteState]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "site": state.site,
            "stage": state.stage.value,
            "words": state.words,
            "code": None if state.code is None else state.code.name,
            "set_aside": state.set_aside,
            "size": state.size,
        }
        for state in states
    ]
