"""How orphans look: a sentence with counts that add up, a table by registry and author, and the list for people. Nothing of persons is shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sento_client.cli.show import time_text
from sento_client.returning.orphans_file import NOWHERE, OrphansFile, orphan_value
from sento_client.returning.sorting import PEOPLE_DECIDE, Place, Sorted, Sorting


def sentence(file: OrphansFile, sorting: Sorting) -> str:
    """What people read first."""
    parts = [f"{count} {_WORDS[place]}" for place, count in sorting.counts.items() if count]
    whole = f"{len(sorting.items)} records that {file.site} set aside with epoch {file.epoch}"
    return f"{whole}: {', '.join(parts)}." if parts else f"{whole}: nothing is missing from the ledger."


_WORDS = {
    Place.STANDS: "stand again",
    Place.TO_OFFER: "can be offered again",
    Place.CONFLICT: "conflict with what was written since",
    Place.CANNOT: "cannot be offered as they were signed",
    Place.LEFT_OUT: "are left out",
    Place.REFUSED: "were refused",
    Place.TOGETHER: "were signed together with one of those",
}


def print_sorting(console: Console, file: OrphansFile, sorting: Sorting) -> None:
    """The sentence, and the table by registry and author."""
    console.print(sentence(file, sorting), markup=False)
    shown = [place for place, count in sorting.counts.items() if count]
    if not shown:
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("registry", "author", *shown):
        table.add_column(
            title, overflow="fold", justify="left" if title in ("registry", "author") else "right"
        )
    for row in sorting.rows:
        table.add_row(row.registry, row.author, *(str(row.counts[place] or "") for place in shown))
    console.print(table, soft_wrap=False)
    if sorting.of(*PEOPLE_DECIDE):
        console.print("A person decides about the others: sento return show FILE lists each with its reason.")


def print_list(console: Console, listed: Sequence[Sorted]) -> None:
    """Each with its reason, a few lines a record."""
    for one in listed:
        orphan = one.orphan
        console.print(
            f"{orphan.record_hash.hex()}\n  {orphan.registry}/{orphan.kind} of {orphan.author}, {time_text(orphan.time_ms)}, "
            f"record id {orphan.record_id.hex()}\n  {one.place}{': ' if one.why else ''}{one.why}",
            markup=False,
            highlight=False,
        )


def sorting_value(
    file: OrphansFile, sorting: Sorting, listed: Sequence[Sorted] | None = None
) -> dict[str, object]:
    """All of it for programs; `listed`: which records, None: those that a person decides about."""
    if listed is None:
        listed = sorting.of(*PEOPLE_DECIDE)
    return {
        "site": file.site,
        "epoch": file.epoch,
        "records": len(sorting.items),
        "counts": {place.value: count for place, count in sorting.counts.items()},
        "by_registry": [
            {
                "registry": row.registry,
                "author": row.author,
                **{place.value: count for place, count in row.counts.items() if count},
            }
            for row in sorting.rows
        ],
        "listed": [
            {
                **orphan_value(one.orphan),
                "against": None if one.orphan.against == NOWHERE else one.orphan.against,
                "place": one.place.value,
                "why": one.why,
            }
            for one in listed
        ],
    }
