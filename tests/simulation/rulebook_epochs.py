"""Epochs, votes and gaps, a second time: what each of these changes does to dictionaries, and what may be an epoch's first record.

The code that it is compared with is not used.
"""

from __future__ import annotations

import json
from typing import Any

from tests.simulation.rulebook_read_log import ReadLogBook, need

Json = dict[str, Any]
EPOCHS_FROM = 5
DOES = ("begin-epoch", "set-gap", "set-site-votes")
"""Changes that exist from the rules on that know epochs."""


class EpochBook(ReadLogBook):
    """A rulebook that these changes can be done to."""

    __slots__ = ()

    def _do_begin_epoch(self, change: Json, at: int, window: int) -> None:
        parent, counted = change["parent"], change["receipt_set"]
        need(change["epoch"] > self.epoch and parent["epoch"] == self.epoch, "number")
        need(parent["size"] == at, "another size")
        voting, sites, quorum = change["voting"], tuple(counted["sites"]), counted["quorum"]
        need(set(voting) | set(sites) <= set(self.sites) and bool(voting), "no such site")
        need(len(set(voting)) == len(voting) and len(set(sites)) == len(sites), "twice")
        need(len(sites) < 2 * quorum <= 2 * len(sites), "quorum")
        if "agreed" in change:
            need(change["reason"] == "recover" and 0 < change["agreed"] <= at, "agreed on more than there is")
        self.epoch = change["epoch"]
        self.forks[self.epoch] = at
        self.voting = set(voting)
        self.receipts = [entry for entry in self.receipts if entry[0] <= at] + [(at + 1, sites, quorum)]

    def _do_set_site_votes(self, change: Json, at: int, window: int) -> None:
        name, votes = change["name"], change["votes"]
        need(name in self.sites and (name in self.voting) != votes, "no such site, or so already")
        self.voting = self.voting | {name} if votes else self.voting - {name}
        need(bool(self.voting), "nobody votes")

    def _do_set_gap(self, change: Json, at: int, window: int) -> None:
        need(change["epoch"] in self.forks, "no such epoch")
        self.gaps[change["epoch"]] = (change["as_of_ms"], change["known_missing"], change["open"])


def begins(content: bytes, epoch: int, size: int, root: bytes, block: int) -> bool:
    """Whether an act may be the first record of this epoch on this tree: it does nothing else, and names where it stands."""
    try:
        (change,) = json.loads(content)["changes"]
        parent = change["parent"]
        return bool(
            change["do"] == "begin-epoch"
            and change["epoch"] == epoch
            and (parent["size"], parent["root"]) == (size, root.hex())
            and parent["block"] <= block
        )
    except (ValueError, KeyError, TypeError):
        return False
