"""Which losses the registry survives: counting over sets of sites, and nothing else.

A record is acknowledged when a majority of the voting sites has it on disk. From that alone follows how many sites may still go before writing stops,
and how many disks may burn before something acknowledged can be gone. Which majority holds a record is not known here, so the worst one is assumed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple


class Loss(NamedTuple):
    """What it takes to lose acknowledged records: the disks of any `any_of` of `sites`.

    0: records may be lost already, unless `come_back` of `sites`, which are all away, come back with their disks."""

    any_of: int
    sites: tuple[str, ...]
    come_back: int = 0


def majority(voters: int) -> int:
    """How many of so many voting sites are more than half."""
    return voters // 2 + 1


def critical_sites(
    at_work: Collection[str], needed: int, takers: Collection[str] | None = None
) -> tuple[str, ...]:
    """The sites each of which, lost alone, leaves fewer than `needed` at work, or nobody of `takers` (all at work, if not given) to let records in.

    None when it is so already."""
    sites, doors = set(at_work), set(at_work if takers is None else takers)
    if len(sites) < needed or not doors:
        return ()
    return tuple(site for site in at_work if len(sites - {site}) < needed or not doors - {site})


def possible_loss(voting: Sequence[str], at_work: Collection[str], holding: Collection[str]) -> Loss:
    """What it takes to lose acknowledged records. `at_work` vote now; `holding` are known to have their disks, at work or not.

    While a majority is at work everything acknowledged before is in each of their logs or about to be, and what is acknowledged now is on the disks of a
    majority of all, hence of that many among them. Without one, those that are not `holding` are taken as burnt until they are back."""
    needed = majority(len(voting))
    working = tuple(site for site in voting if site in at_work)
    if len(working) >= needed:
        return Loss(needed, working)
    away = tuple(site for site in voting if site not in holding)
    if len(away) >= needed:
        return Loss(0, away, come_back=len(away) - needed + 1)
    return Loss(needed - len(away), tuple(site for site in voting if site in holding))
