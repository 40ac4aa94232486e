"""Keeping up with governance at a site that lies about where acts stand, or holds them back."""

from __future__ import annotations

from pathlib import Path

import pytest

from genesis_builder import OFFICERS, build_genesis
from governing_port import GovernedLedger, officer_at
from sento_client.governing.client import GoverningClient
from sento_client.governing.proposal import act_content, make_proposal
from sento_client.testing.world import derived
from sento_proto.errors import Code, SentoError


@pytest.fixture
def ledger() -> GovernedLedger:
    return GovernedLedger(build_genesis(rules=2))


def at_computer(ledger: GovernedLedger, directory: Path) -> GoverningClient:
    return officer_at(ledger, directory, OFFICERS[0], derived("sento-test", "officer", OFFICERS[0]))


async def enact(client: GoverningClient, ledger: GovernedLedger, registry: str) -> None:
    governance = (await client.follow()).governance
    proposal = make_proposal(
        governance.ledger_id,
        0,
        act_content("test", [{"do": "add-registry", "registry": registry}]),
        governance.last_act,
        record_id=ledger.world.numbers.record_id(),
        time_ms=ledger.world.numbers.next_time_ms(),
    )
    for officer in OFFICERS[:2]:
        proposal = proposal.signed(ledger.world.officer_signers[officer])
    await client.submit(proposal)


async def test_a_lie_about_an_acts_position_is_not_kept_and_later_acts_are_still_seen(
    ledger: GovernedLedger, tmp_path: Path
) -> None:
    """An act said to stand far ahead must not make the client ask only for what comes behind that."""
    async with at_computer(ledger, tmp_path) as client:
        await enact(client, ledger, "land")
        ledger.shift = 1_000
        assert (await client.follow()).position == 1_000
        assert client.place.trust_file.read().position == -1
        ledger.shift = 0
        assert (await client.follow()).position == 0
        await enact(client, ledger, "cars")
        followed = await client.follow()
        assert [step.position for step in followed.steps] == [0, 1]
        assert client.place.trust_file.read().position == 1


async def test_an_act_at_the_place_of_another_record_is_disproved(
    ledger: GovernedLedger, tmp_path: Path
) -> None:
    async with at_computer(ledger, tmp_path) as client:
        await enact(client, ledger, "land")
        await enact(client, ledger, "cars")
    async with at_computer(ledger, tmp_path / "fresh") as client:
        ledger.shown, ledger.shift = 1, 1
        with pytest.raises(SentoError, match="another record stands at position 1") as refused:
            await client.follow()
        assert refused.value.code is Code.DAMAGED


async def test_a_site_that_holds_acts_back_takes_nothing_back(ledger: GovernedLedger, tmp_path: Path) -> None:
    async with at_computer(ledger, tmp_path) as client:
        await enact(client, ledger, "land")
        assert "land" in (await client.follow()).governance.registries
        ledger.shown = 0
        assert "land" in (await client.follow()).governance.registries
    async with at_computer(ledger, tmp_path) as later:
        assert "land" in (await later.follow()).governance.registries
