"""Lists that go back in time, a part of them at a time: what both history commands show, and how to go on.

Each entry names the one before it, so that the last one shown says whether there are more: nothing is read for that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from rich.console import Console

from sento_client.cli.app import App
from sento_client.cli.confirmed import confirmed_value, print_confirmed
from sento_client.cli.show import print_history, version_value
from sento_client.client import SentoClient
from sento_client.confirming.values import Confirming
from sento_client.results import HiddenTally, Version
from sento_client.verifying import Stored
from sento_proto.governance.gaps import as_of_ms, as_of_words

FIRST = 0
"""The position that is below every gap: nothing stands where an entry may be missing."""


def show_part(
    app: App,
    ask: Callable[[SentoClient, HiddenTally, Confirming | None], AsyncIterator[Version]],
    has_older: Callable[[Version], bool],
    may_have_older: Callable[[Stored], bool],
    *,
    site: str | None,
    deadline_ms: int | None,
    confirmed: bool = False,
) -> None:
    """Ask for the part, show it, and say how to go on below it. `has_older`: whether the list goes on below this entry; `may_have_older`: whether it can, below
    an entry that is hidden."""
    hidden, told = HiddenTally(), Confirming() if confirmed else None

    async def work(sento: SentoClient) -> tuple[list[Version], int | None]:
        found = [version async for version in ask(sento, hidden, told)]
        return found, None if found else as_of_ms(sento.followed.governance, FIRST)

    versions, empty_as_of_ms = app.run(work, site=site, deadline_ms=deadline_ms)
    next_before = versions[-1].position if versions and has_older(versions[-1]) else None
    oldest = hidden.oldest
    if oldest is not None and (not versions or oldest.position < versions[-1].position):
        next_before = oldest.position if may_have_older(oldest) else None

    def people(console: Console) -> None:
        if versions:
            print_history(console, versions)
        elif not hidden.count:
            console.print("Nothing stands under this name in this part of the ledger.")
        if empty_as_of_ms is not None:
            console.print(f"The ledger is {as_of_words(empty_as_of_ms)}.")
        if hidden.count:
            console.print(hidden.words)
        if told is not None:
            newer = sum(version.confirmed is None for version in versions)
            print_confirmed(console, told.word, newer)
        if next_before is not None and told is not None:
            console.print("There are older ones: repeat the command with a larger --limit.")
        elif next_before is not None:
            console.print(f"There are older ones: repeat the command with --before {next_before}.")

    value: dict[str, object] = {
        "versions": [_version_value(version, confirmed=confirmed) for version in versions],
        "hidden": hidden.count,
        "more": next_before is not None,
        "next_before": next_before,
        "empty_as_of_ms": empty_as_of_ms,
    }
    if told is not None:
        value["confirmed"] = confirmed_value(told.word)
    app.show(value, people)


def _version_value(version: Version, *, confirmed: bool) -> dict[str, object]:
    value = version_value(version)
    return {**value, "is_confirmed": version.confirmed is not None} if confirmed else value
