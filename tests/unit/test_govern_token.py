"""An officer's key on a token, P-256 or Ed25519: `sento govern sign` signs with it, and apply accepts the act beside signatures of software keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from genesis_builder import TestWorld, base64_of, build_genesis
from governing_port import GovernedLedger, officer_at
from ledger_driver import LedgerDriver, code_of
from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.main import main
from sento_client.config import KeyFiles, TokenPlace
from sento_client.governing.client import GoverningClient
from sento_client.governing.proposal import Proposal, decode_proposal
from sento_client.signers.token_keys import TokenSigner
from sento_client.testing.world import derived
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_proto.errors import Code
from sento_proto.genesis import decode_genesis
from sento_proto.keys import PublicKey, Suite
from softhsm import LABEL, PIN, SoftToken, soft_token

SUITES = {"P-256": "ecdsa-p256", "Ed25519": "ed25519"}
PEOPLE = ("officer-1", "officer-2", "officer-3", "officer-4", "officer-5")
SOFTWARE, ON_TOKEN = PEOPLE[:2], PEOPLE[2]
KEY_LABEL = "officer"


@pytest.fixture(params=sorted(SUITES))
def soft(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[SoftToken, str]]:
    """A token with one key of the curve, and the curve."""
    with soft_token(tmp_path, monkeypatch) as token:
        token.make_key(KEY_LABEL, request.param)
        monkeypatch.setenv("SENTO_PIN", PIN)
        yield token, request.param


def world_with(key: PublicKey, suite: str) -> TestWorld:
    """Five officers, of whom three act together; the key of one is the token's."""
    world = build_genesis(rules=2, officers=PEOPLE)
    document = json.loads(world.genesis_bytes)
    (person,) = [one for one in document["officers"]["people"] if one["name"] == ON_TOKEN]
    person["key"] = {"suite": suite, "public_key": base64_of(key.data)}
    data = json.dumps(document).encode()
    return replace(world, genesis=decode_genesis(data), genesis_bytes=data)


class Offices:
    """The computers of all officers over one ledger, and the act that they sign in turn."""

    def __init__(self, world: TestWorld, token: SoftToken, directory: Path) -> None:
        self.world = world
        self._token = token
        self._directory = directory
        self._port = GovernedLedger(world)
        self.act = directory / "act.json"

    def run(self, officer: str, *words: str, code: Exit = Exit.OK) -> Result:
        app = App(open_governing=lambda _: self._client(officer))
        result = CliRunner().invoke(main, ["govern", *words], obj=app)
        assert result.exit_code == code, result.output
        return result

    def proposal(self) -> Proposal:
        return decode_proposal(self.act.read_bytes())

    def _client(self, officer: str) -> GoverningClient:
        seed = derived(self.world.genesis.name, "officer", officer)
        client = officer_at(self._port, self._directory / officer, officer, seed)
        if officer != ON_TOKEN:
            return client
        keys = KeyFiles(None, None, None, None, token=TokenPlace(self._token.module, LABEL, KEY_LABEL))
        return GoverningClient(replace(client.place, keys=keys), transport=lambda _: self._port)


@pytest.fixture
def offices(soft: tuple[SoftToken, str], tmp_path: Path) -> Offices:
    token, curve = soft
    return Offices(
        world_with(TokenSigner(token.token(), KEY_LABEL).public_key, SUITES[curve]), token, tmp_path
    )


def applied(world: TestWorld, acts: Sequence[bytes]) -> tuple[LedgerDriver, list[Code]]:
    """What these acts come to at a site, each in a block of its own."""
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    return driver, [code_of(driver.order([act])) for act in acts]


def test_act_of_two_software_officers_and_one_on_a_token_is_accepted_by_apply(
    offices: Offices, soft: tuple[SoftToken, str]
) -> None:
    act = str(offices.act)
    offices.run(
        SOFTWARE[0], "propose", "--reason", "x", "--out", act, "permit", "iizuka-city", "write", "health:a"
    )
    for officer in SOFTWARE:
        offices.run(officer, "sign", act, "--yes")
    too_few = offices.proposal().encode_act()
    signed = offices.run(ON_TOKEN, "sign", act, "--yes")
    assert f"Signed for {ON_TOKEN}." in signed.output
    assert "Next: sento govern submit" in signed.output
    enough = offices.proposal()
    suites = [one.signature.suite for one in enough.officers]
    assert suites == [
        Suite.ED25519,
        Suite.ED25519,
        Suite.ED25519 if soft[1] == "Ed25519" else Suite.ECDSA_P256,
    ]
    assert "stands at position 0" in offices.run(SOFTWARE[0], "submit", act).output
    driver, codes = applied(offices.world, [too_few, enough.encode_act()])
    assert codes == [Code.TOO_FEW_OFFICERS, Code.ACCEPTED]
    assert driver.governance.may_write("iizuka-city", "health", "a")


def test_act_whose_token_signature_is_over_another_act_is_refused_by_apply(offices: Offices) -> None:
    other = offices.act.with_name("other.json")
    change = ("permit", "iizuka-city", "write", "health:a")
    for path in (offices.act, other):
        offices.run(SOFTWARE[0], "propose", "--reason", path.name, "--out", str(path), *change)
    for officer in SOFTWARE:
        offices.run(officer, "sign", str(offices.act), "--yes")
    offices.run(ON_TOKEN, "sign", str(other), "--yes")
    (lifted,) = decode_proposal(other.read_bytes()).officers
    proposal = offices.proposal()
    forged = replace(proposal, officers=(*proposal.officers, lifted)).encode_act()
    driver, codes = applied(offices.world, [forged])
    assert codes == [Code.BAD_SIGNATURE]
    assert driver.state.size == 0


def test_token_that_was_pulled_out_leaves_the_proposal_as_it_was(
    offices: Offices, soft: tuple[SoftToken, str]
) -> None:
    act, change = str(offices.act), ("permit", "iizuka-city", "write", "health:a")
    offices.run(SOFTWARE[0], "propose", "--reason", "x", "--out", act, *change)
    before = offices.act.read_bytes()
    token, _ = soft
    token.unplug()
    result = offices.run(ON_TOKEN, "sign", act, "--yes", code=Exit.USAGE)
    token.plug_in()
    assert "TOKEN_MISSING" in result.output
    assert offices.act.read_bytes() == before
    assert f"Signed for {ON_TOKEN}." in offices.run(ON_TOKEN, "sign", act, "--yes").output
