"""What rules 5 bring, as a story for golden ledgers: sites' places and votes, a tie-breaker, epochs that begin where the former one ends, and a gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import acts as do
from epochs import begin_bytes, plan_here
from genesis_builder import OFFICERS, SITES, ed25519, make_submission
from ledger_driver import LedgerDriver
from sento_proto.epoch_plan import EpochPlan

Blocks = Iterator[list[bytes]]
CITY = "iizuka-city"
TIE_BREAKER = "jp-nagano"
AS_OF_MS = 1_773_218_760_000
"""2026-03-11 08:46 UTC."""


def set_site_place(name: str, address: str, ordering_url: str) -> do.Change:
    """Where others reach it."""
    return {"do": "set-site-place", "name": name, "address": address, "ordering_url": ordering_url}


def set_site_votes(name: str, *, votes: bool) -> do.Change:
    """Whether it votes."""
    return {"do": "set-site-votes", "name": name, "votes": votes}


def enrol_tie_breaker(name: str) -> do.Change:
    """A site that votes and keeps no ledger."""
    site = do.enrol_site(name, ed25519(name))["site"]
    assert isinstance(site, dict)
    return {"do": "enrol-tie-breaker", "site": {**site, "ledger": False}}


def set_gap(epoch: int, *, is_open: bool, missing: int = 7, later_ms: int = 0) -> do.Change:
    """What officers say of the gap of a recovered epoch."""
    as_of_ms = AS_OF_MS + later_ms
    return {"do": "set-gap", "epoch": epoch, "as_of_ms": as_of_ms, "known_missing": missing, "open": is_open}


def raising_to_5(driver: LedgerDriver) -> Blocks:
    """From rules 4 to 5: what rules 5 bring is refused before they are in force."""
    early = set_site_place(SITES[0], "127.0.0.1:7101", "")
    yield [driver.act_bytes(do.set_rules(5)), driver.act_bytes(early)]
    for site in SITES:
        yield [driver.announcement(site, [1, 2, 3, 4, 5])]
    raises = driver.act_bytes(do.set_rules(5))
    yield [raises, driver.act_bytes(early)]


def under_rules_5(driver: LedgerDriver) -> Blocks:
    """Places and votes in epoch 0; then a new log: what comes before its act, acts that do not begin it, the act twice, and what goes on behind it."""
    yield [
        driver.act_bytes(set_site_place(SITES[0], "127.0.0.1:7101", "https://127.0.0.1:7102")),
        driver.act_bytes(set_site_place("jp-nowhere", "127.0.0.1:7101", "")),
    ]
    yield [driver.act_bytes(enrol_tie_breaker(TIE_BREAKER))]
    yield [driver.act_bytes(set_site_votes(SITES[2], votes=False))]
    yield [driver.act_bytes(set_site_votes(TIE_BREAKER, votes=False))]
    within = plan_here(driver)
    yield [begin_bytes(driver, within), driver.act_bytes(_content_of(within))]
    newest = driver.governance.registries["residency"].key_epoch
    plan = plan_here(driver, voting=SITES)
    driver.state.enter_epoch(1)
    early = make_submission(driver.world, CITY, [driver.record("before the act", key_epoch=newest)])
    yield [early, driver.act_bytes(set_site_votes(SITES[2], votes=True))]
    yield [
        begin_bytes(driver, plan, OFFICERS[:1]),
        begin_bytes(driver, replace(plan, voting=("jp-nowhere",))),
        begin_bytes(driver, plan),
        early,
    ]
    yield [begin_bytes(driver, plan)]
    yield [driver.act_bytes(set_site_votes(SITES[2], votes=False))]
    yield from _recovered(driver)


def _recovered(driver: LedgerDriver) -> Blocks:
    """An epoch that a recovery began, and its gap: opened, refused where it does not fit, said anew, closed, opened again; a record below and one behind."""
    newest = driver.governance.registries["residency"].key_epoch
    below = make_submission(driver.world, CITY, [driver.record("below the gap", key_epoch=newest)])
    yield [below, driver.act_bytes(set_gap(1, is_open=True))]
    plan = plan_here(driver, 2, reason="recover", alone=True)
    driver.state.enter_epoch(2)
    yield [begin_bytes(driver, plan)]
    yield [driver.act_bytes(set_gap(2, is_open=False)), driver.act_bytes(set_gap(3, is_open=True))]
    yield [driver.act_bytes(set_gap(2, is_open=True))]
    yield [
        driver.act_bytes(set_gap(2, is_open=True)),
        driver.act_bytes(set_gap(2, is_open=False, later_ms=1)),
    ]
    anew = set_gap(2, is_open=False, missing=9), set_gap(2, is_open=True, missing=3, later_ms=60_000)
    yield [driver.act_bytes(*anew)]
    yield [make_submission(driver.world, CITY, [driver.record("behind the gap", key_epoch=newest)])]
    yield [driver.act_bytes(set_gap(2, is_open=False, missing=0, later_ms=60_000))]
    yield [driver.act_bytes(set_gap(2, is_open=True, missing=412))]
    yield from _recovered_from_a_copy(driver)


def _recovered_from_a_copy(driver: LedgerDriver) -> Blocks:
    """One more, from a copy whose last records nobody is known to have agreed on; first with more agreed on than the fork has, which is refused."""
    newest = driver.governance.registries["residency"].key_epoch
    agreed = plan_here(driver, 3).parent
    tail = [driver.record(f"of one copy {number}", key_epoch=newest) for number in range(2)]
    yield [make_submission(driver.world, CITY, tail)]
    plan = plan_here(driver, 3, reason="recover", alone=True, agreed=agreed)
    driver.state.enter_epoch(3)
    beyond = agreed._replace(size=plan.parent.size + 1)
    yield [begin_bytes(driver, replace(plan, agreed=beyond)), begin_bytes(driver, plan)]
    yield [make_submission(driver.world, CITY, [driver.record("behind the copy", key_epoch=newest)])]


def _content_of(plan: EpochPlan) -> do.Change:
    """The plan's change, put into an act of an epoch that has begun."""
    parent = plan.parent
    return {
        "do": "begin-epoch",
        "epoch": plan.epoch,
        "parent": {
            "epoch": parent.epoch,
            "size": parent.size,
            "root": parent.root.hex(),
            "block": parent.block,
        },
        "plan": "00" * 32,
        "reason": plan.reason,
        "voting": list(plan.voting),
        "receipt_set": {"sites": list(plan.receipt_set.sites), "quorum": plan.receipt_set.quorum},
    }
