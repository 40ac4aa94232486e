"""The sentence at the top: whether writing goes on, whose loss would stop it, and what may be lost now. Two sentences at most, for a tired person."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from sento_client.site_status.report import HOLDS, Look
from sento_client.site_status.survivability import Loss
from sento_client.site_status.wording import count_words, counted, listed


class Writing(StrEnum):
    """Whether records are taken. `UNKNOWN`: this computer does not see enough to say."""

    OK = "ok"
    ONE_LOSS_STOPS = "one_loss_stops"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Count(NamedTuple):
    """What was counted: the voting sites, those at work, those of them that take records, how many must be at work, and what it takes to lose something."""

    voting: tuple[str, ...]
    at_work: tuple[str, ...]
    takers: tuple[str, ...]
    needed: int
    loss: Loss

    @property
    def seen(self) -> str:
        """How many of how many."""
        return f"{len(self.at_work) or 'none'} of {len(self.voting)} voting sites"


def nobody(look: Look) -> str:
    """No site of this ledger told anything."""
    if look.strangers:
        return (
            f"No site of this ledger answers, only {listed(look.strangers)} of another, so nothing can be said about the registry; "
            "check the genesis file and the addresses on this computer first."
        )
    return (
        "No site answers this computer, so nothing can be said about the registry; "
        "check this computer's network and certificate first."
    )


def too_few_seen(count: Count, serving: Sequence[str]) -> str:
    """A site serves, so a majority answered it a moment ago; but this computer does not see one."""
    return (
        f"Writing goes on by the word of {listed(serving)}, but this computer sees only {count.seen} at work, and {count.needed} are needed. "
        "How many more may be lost cannot be said from here; look from another place too."
    )


def going_on(count: Count, *, problems: bool) -> str:
    """A majority is at work and takes records."""
    if len(count.voting) == 1:
        return (
            f"Writing goes on at the only voting site, {count.voting[0]}. "
            "There is no second copy that votes: its loss stops writing and may lose what was acknowledged."
        )
    spare = len(count.at_work) - count.needed
    if spare == 0:
        return _none_to_spare(count)
    disks = f"Only the loss of {count_words(count.loss.any_of)} disks at once could take with it what is acknowledged now."
    if len(count.takers) == 1:
        return (
            f"Writing goes on with {count.seen}, but {count.takers[0]} alone takes new records, as noted below: its loss stops writing now. "
            f"{disks}"
        )
    opening = "Writing goes on" if problems else "All is well: writing goes on"
    noted = "; what is noted below needs a look" if problems else ""
    return (
        f"{opening} with {count.seen}, and any {count_words(spare)} of them may be lost without stopping it{noted}. "
        f"{disks}"
    )


def _none_to_spare(count: Count) -> str:
    two = count.needed == 2
    return (
        f"Writing goes on with {count.seen}, and nothing acknowledged is lost; "
        f"the loss of {'either' if two else 'any one'} of {listed(count.at_work)} stops it now. "
        f"What is acknowledged now is on the disks of these {count_words(count.needed)} alone; "
        f"only the loss of {'both' if two else 'all of them'} would lose it."
    )


def refused_everywhere(count: Count) -> str:
    """A majority orders, and no site lets records in."""
    return (
        f"Writing is stopped: {count.seen} are at work, but every one that serves refuses new records, as noted below. "
        "Nothing acknowledged is lost."
    )


def stopped(look: Look, count: Count) -> str:
    """No majority is at work, as far as this computer sees."""
    unseen = [site for site in count.voting if (report := look.report(site)) is None or report.status is None]
    # Sites that nobody here reaches might be a majority among themselves.
    how_sure = ", as far as this computer sees" if len(unseen) >= count.needed else ""
    lost = _may_be_lost_already(look, count) if count.loss.any_of == 0 else _not_lost(count.loss)
    if len(count.voting) == 1:
        return f"Writing is stopped{how_sure}: the only voting site does not serve. {lost}"
    up = len(look.among(count.voting, HOLDS))
    return (
        f"Writing is stopped{how_sure}: {up or 'none'} of {len(count.voting)} voting sites {'is' if up < 2 else 'are'} up, "
        f"and {count.needed} must reach each other. {lost}"
    )


def _may_be_lost_already(look: Look, count: Count) -> str:
    away, needed_back = count.loss.sites, count.loss.come_back
    if needed_back == 1:
        who = f"{listed(away, 'or')} comes back with its disk"
    else:
        who = f"any {count_words(needed_back)} of {listed(away)} come back with their disks"
    holding = look.among(count.voting, HOLDS)
    if not holding:
        return f"Nothing acknowledged is lost if {who}."
    size = max(look.answers[site].flushed_size for site in holding)
    return (
        f"Nothing acknowledged is lost if {who}; "
        f"otherwise only the {counted(size, 'record')} that {listed(holding)} {'holds' if len(holding) < 2 else 'hold'} are sure."
    )


def _not_lost(loss: Loss) -> str:
    if len(loss.sites) == 1:
        return f"Nothing acknowledged is lost while {loss.sites[0]} keeps its disk."
    if loss.any_of == 1:
        return f"Nothing acknowledged is lost while {listed(loss.sites)} keep their disks: the loss of one of them could take some of it."
    return (
        f"Nothing acknowledged is lost: {listed(loss.sites)} have their disks, "
        f"and only the loss of {count_words(loss.any_of)} at once could take some of it."
    )
