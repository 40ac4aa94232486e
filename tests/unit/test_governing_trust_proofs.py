"""The trust file with proofs: written by clients as soon as acts are proven, and no act, place, path or checkpoint in it can be another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genesis_builder import OFFICERS, SITES, TestWorld, build_genesis
from governing_port import GovernedLedger, officer_at
from sento_client.governing.client import GoverningClient
from sento_client.governing.proposal import act_content, make_proposal
from sento_client.governing.trust_file import decode_trust_alone, encode_trust
from sento_client.testing.world import derived
from sento_proto.checkpoint import Checkpoint, cosign, decode_checkpoint, encode_checkpoint
from sento_proto.errors import SentoError
from sento_proto.wire import Malformed

Value = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis(rules=3)


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


@pytest.fixture
async def given(world: TestWorld, tmp_path: Path) -> bytes:
    """A trust file with three acts, as `sento govern trust` writes it."""
    ledger = GovernedLedger(world)
    async with at_computer(ledger, tmp_path) as client:
        for registry in ("land", "cars", "bees"):
            await enact(client, ledger, registry)
        return await client.proven_trust()


def refusal(data: bytes) -> str:
    """Why the file is refused; empty when it is not."""
    try:
        decode_trust_alone(data)
    except (Malformed, SentoError) as error:
        return str(error)
    return ""


async def test_what_a_client_follows_is_kept_with_the_proof_of_each_acts_place(
    world: TestWorld, tmp_path: Path
) -> None:
    ledger = GovernedLedger(world)
    async with at_computer(ledger, tmp_path) as client:
        for count, registry in enumerate(("land", "cars"), 1):
            await enact(client, ledger, registry)
            await client.follow()
            kept = client.place.trust_file.read_all()
            assert kept.proof is not None
            assert (kept.proof.checkpoint.size, len(kept.proof.paths)) == (count, count)
            assert registry in kept.followed.governance.registries


async def test_a_file_without_proofs_is_still_read_and_gets_them_with_the_next_act(
    world: TestWorld, tmp_path: Path
) -> None:
    ledger = GovernedLedger(world)
    async with at_computer(ledger, tmp_path) as client:
        await enact(client, ledger, "land")
        followed = await client.follow()
    path = tmp_path / "trust.json"
    path.write_bytes(encode_trust(world.genesis_bytes, followed))
    assert json.loads(path.read_bytes())["format"] == "sento-trust-1"
    async with at_computer(ledger, tmp_path) as client:
        assert "land" in client.place.trust_file.read().governance.registries
        await enact(client, ledger, "cars")
        await client.follow()
        assert client.place.trust_file.read_all().proof is not None


async def test_a_trust_file_says_by_itself_what_was_followed(given: bytes, world: TestWorld) -> None:
    trusted = decode_trust_alone(given)
    assert trusted.genesis.ledger_id == world.ledger_id
    assert {"land", "cars", "bees"} <= set(trusted.followed.governance.registries)
    value = json.loads(given)
    assert list(value) == ["format", "genesis", "records", "checkpoint", "proofs"]


def with_checkpoint(value: Value, change: Callable[[Checkpoint], Checkpoint]) -> Value:
    note = change(decode_checkpoint(value["checkpoint"].encode()))
    return value | {"checkpoint": encode_checkpoint(note).decode()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v | {"proofs": v["proofs"][:-1]}, "3 records and 2 proofs"),
        (lambda v: v | {"proofs": v["proofs"][::-1]}, "not shown to stand there"),
        (lambda v: v | {"proofs": [["00" * 32], *v["proofs"][1:]]}, "not shown to stand there"),
        (lambda v: v | {"proofs": {}}, "must be a list"),
        (lambda v: v | {"records": v["records"][1:], "proofs": v["proofs"][1:]}, "acts were left out"),
        (lambda v: v | {"records": v["records"][::-1]}, "acts were left out"),
        (lambda v: v | {"records": [v["records"][0] | {"hidden": True}]}, "hidden"),
        (
            lambda v: v | {"records": [*v["records"][:2], v["records"][2] | {"position": 7}]},
            "not shown to stand",
        ),
        (lambda v: v | {"format": "sento-trust-1"}, "not known to this release"),
        (lambda v: v | {"format": "sento-trust-3"}, "format must be one of"),
        (lambda v: {k: x for k, x in v.items() if k != "checkpoint"}, "checkpoint is missing"),
        (lambda v: v | {"more": 1}, "not known to this release"),
        (lambda v: with_checkpoint(v, lambda c: c._replace(signatures=c.signatures[:1])), "1 of 3 sites"),
        (lambda v: with_checkpoint(v, lambda c: c._replace(root=bytes(32))), "0 of 3 sites"),
        (lambda v: with_checkpoint(v, lambda c: c._replace(ledger_id=bytes(32))), "another ledger"),
    ],
)
async def test_an_altered_trust_file_is_refused_with_the_reason(
    given: bytes, change: Callable[[Value], Value], words: str
) -> None:
    assert refusal(given) == ""
    assert words in refusal(json.dumps(change(json.loads(given))).encode())


async def test_a_cut_trust_file_is_refused(given: bytes) -> None:
    assert all(refusal(given[:length]) for length in range(0, len(given.rstrip()), 97))


async def test_acts_proven_under_a_checkpoint_of_another_tree_are_refused(
    given: bytes, world: TestWorld
) -> None:
    """A true quorum's checkpoint of a tree in which these acts do not stand."""
    other = Checkpoint(world.ledger_id, 0, 3, bytes(range(32)))
    lines = tuple(cosign(other, site, world.site_signers[site], 1) for site in SITES)
    value = json.loads(given) | {"checkpoint": encode_checkpoint(other._replace(signatures=lines)).decode()}
    assert "not shown to stand there" in refusal(json.dumps(value).encode())
