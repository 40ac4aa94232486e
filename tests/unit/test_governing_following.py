"""Following governance: what a hostile site could give out instead of the true acts, each refused with its position and why."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from genesis_builder import OFFICERS, TestWorld, build_genesis, make_record
from governed import Chancellery, followed
from sento_client.governing.following import Followed, follow
from sento_client.governing.trust_file import TrustFile
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing.world import derived
from sento_client.verifying import (
    Check,
    Stored,
    Verdict,
    check_checkpoint,
    check_record,
)
from sento_proto.checkpoint import Checkpoint, cosign
from sento_proto.errors import Code, SentoError
from sento_proto.header import ZERO32
from sento_proto.keys import Ed25519Signer, Signature, sign_all
from sento_proto.record import make_record as plain_record
from sento_proto.record_object import SubmissionPath
from sento_proto.software_signers import HybridSigner, MlDsa65Signer
from sento_proto.submission import OfficerSignature, signed_bytes

LAND = {"do": "add-registry", "registry": "land"}
CARS = {"do": "add-registry", "registry": "cars"}
NEW_SEED = bytes(range(32))


@pytest.fixture
def world() -> TestWorld:
    return build_genesis(rules=3)


@pytest.fixture
def office(world: TestWorld) -> Chancellery:
    return Chancellery(world)


def refusal(world: TestWorld, *given: Stored, epoch: int = 0) -> str:
    with pytest.raises(SentoError) as refused:
        follow(Followed.start(world.genesis), given, epoch)
    assert refused.value.code is Code.DAMAGED
    return refused.value.detail


def test_acts_and_announcements_are_followed_in_their_order(world: TestWorld, office: Chancellery) -> None:
    first = office.act(7, LAND, reason="cadastre")
    after = followed(world, first, office.announcement(8, "jp-ishikawa", 1, 2, 3), office.act(9, CARS))
    assert set(after.governance.registries) - set(world.genesis.registries) == {"land", "cars"}
    assert after.governance.site_rules["jp-ishikawa"] == {1, 2, 3}
    assert [step.position for step in after.steps] == [7, 8, 9]
    assert set(after.steps[0].signed_by) == set(OFFICERS[:2])
    assert after.steps[0].words == ("There is a registry land; nobody may write it yet.",)
    assert "land" not in after.at(7).registries
    assert "land" in after.at(8).registries


def test_forged_act_is_refused(world: TestWorld, office: Chancellery) -> None:
    """A site signs itself, alters what officers signed, or leaves signatures out."""
    act = office.act(7, LAND)
    site = world.site_signers["jp-fukuoka"]
    by_site = OfficerSignature(site.public_key.key_id, site.sign(b"anything"))
    officers = act.submission.officers
    assert "never was an officer" in refusal(
        world, act._replace(submission=act.submission._replace(officers=(officers[0], by_site)))
    )
    spoiled = OfficerSignature(officers[0].officer_key_id, Signature(1, bytes(64)))
    assert "signature is not over this act" in refusal(
        world, act._replace(submission=act.submission._replace(officers=(spoiled, officers[1])))
    )
    assert "1 officers signed and 2 are needed" in refusal(
        world, act._replace(submission=act.submission._replace(officers=officers[:1]))
    )
    assert "no act of officers" in refusal(
        world, act._replace(submission=act.submission._replace(officers=()))
    )
    other = Chancellery(world).act(7, CARS)
    assert "position 7" in refusal(
        world, act._replace(header_bytes=other.header_bytes, record_hash=other.record_hash)
    )


def test_reordered_replayed_and_left_out_acts_are_refused(world: TestWorld, office: Chancellery) -> None:
    first, second = office.act(7, LAND), office.act(9, CARS)
    assert "acts were left out" in refusal(world, second._replace(position=7), first._replace(position=9))
    assert "acts were left out" in refusal(world, second)
    assert "position 9" in refusal(world, first, first._replace(position=9))
    assert "does not come behind" in refusal(world, first, second._replace(position=7))


def test_act_of_another_ledger_or_epoch_is_refused(world: TestWorld) -> None:
    drill = build_genesis(rules=3, name="sento-drill-of-today")
    assert "position 3" in refusal(world, Chancellery(drill).act(3, LAND))
    assert "epoch 1" in refusal(world, Chancellery(world, epoch=1).act(3, LAND))
    earlier = Chancellery(world, epoch=1)
    first = earlier.act(3, LAND)
    earlier.epoch = 0
    assert "epoch 0" in refusal(world, first, earlier.act(4, CARS), epoch=1)


def test_act_that_never_could_stand_is_refused_although_officers_signed_it(
    world: TestWorld, office: Chancellery
) -> None:
    assert "nobody is not an officer" in refusal(
        world, office.act(3, {"do": "retire-officer", "name": "nobody"})
    )


def test_nothing_governs_under_rules_1_but_the_genesis_file() -> None:
    world = build_genesis(rules=1)
    assert "under rules 1" in refusal(world, Chancellery(world).act(3, LAND))


def test_announcement_of_a_stranger_or_out_of_its_chain_is_refused(
    world: TestWorld, office: Chancellery
) -> None:
    stranger = Ed25519Signer(NEW_SEED)
    assert "ever had this key" in refusal(world, office.announcement(3, "jp-fukuoka", 1, signer=stranger))
    office = Chancellery(world)
    office.announcement(3, "jp-fukuoka", 1)
    assert "left out" in refusal(world, office.announcement(4, "jp-fukuoka", 1, 2))


def test_withheld_acts_take_nothing_back(world: TestWorld, office: Chancellery) -> None:
    known = followed(world, office.act(7, LAND))
    assert follow(known, (), 0) is known


def test_rules_that_this_release_does_not_know_stop_the_client_in_words(
    world: TestWorld, office: Chancellery
) -> None:
    given = [office.announcement(at, site, 3, 99) for at, site in enumerate(world.genesis.voting_sites)]
    given.append(office.act(5, {"do": "set-rules", "rules": 99}))
    known = followed(world, *given)
    with pytest.raises(SetupError, match="rules 99") as stopped:
        follow(known, [office.act(6, LAND)], 0)
    assert stopped.value.code is Setup.RULES_UNKNOWN


def submitted(world: TestWorld, signer: Ed25519Signer | HybridSigner) -> Stored:
    """A record of iizuka-city under another key than genesis has."""
    key_id = signer.public_key.key_id
    made = make_record(world, "iizuka-city", "tax", "k", derived("s"), derived("f", size=16))
    header = made.header._replace(author_key_id=key_id, payload_bytes=0, dek_commit=ZERO32)
    record = plain_record(header, b"")
    signatures = sign_all(signer, signed_bytes(world.ledger_id, record.record_hash, 1, key_id))
    path = SubmissionPath(key_id, 1, 0, (), tuple(signatures))
    return Stored(
        9, record.header_bytes, b"", record.payload_hash, record.record_hash, b"", None, False, path
    )


def failing(stored: Stored, known: Followed) -> list[Check]:
    _, findings = check_record(stored, known.trust)
    return [finding.check for finding in findings if finding.verdict is Verdict.FAILS]


def enrol(signer: Ed25519Signer, companion: MlDsa65Signer | None = None) -> dict[str, object]:
    key = {"suite": "ed25519", "public_key": base64.b64encode(signer.public_key.data).decode()}
    if companion is not None:
        key["ml_dsa_65"] = base64.b64encode(companion.public_key.data).decode()
    return {"do": "enrol-key", "author": "iizuka-city", "key": key}


def test_key_enrolled_by_an_act_verifies_and_still_does_after_its_revocation(
    world: TestWorld, office: Chancellery
) -> None:
    signer = Ed25519Signer(NEW_SEED)
    record = submitted(world, signer)
    assert failing(record, Followed.start(world.genesis)) == [Check.AUTHOR]
    enrolled = office.act(3, enrol(signer))
    revoked = office.act(
        11, {"do": "revoke-key", "author": "iizuka-city", "key_id": signer.public_key.key_id.hex()}
    )
    assert failing(record, followed(world, enrolled)) == []
    assert failing(record, followed(world, enrolled, revoked)) == []


def test_signature_of_a_companion_cannot_be_left_out(world: TestWorld, office: Chancellery) -> None:
    primary, companion = Ed25519Signer(NEW_SEED), MlDsa65Signer(bytes(32))
    known = followed(world, office.act(3, enrol(primary, companion)))
    both = submitted(world, HybridSigner(primary, companion))
    assert failing(both, known) == []
    stripped = both._replace(submission=both.submission._replace(signatures=both.submission.signatures[:1]))
    assert failing(stripped, known) == [Check.SIGNATURE]


def test_checkpoint_is_judged_by_the_receipt_set_of_its_size(world: TestWorld, office: Chancellery) -> None:
    given = [office.announcement(at, site, 3) for at, site in enumerate(world.genesis.voting_sites)]
    one = {"do": "set-receipt-set", "sites": ["jp-ibaraki"], "quorum": 1}
    known = followed(world, *given, office.act(9, one))

    def verdict(size: int, *sites: str) -> Verdict:
        plain = Checkpoint(world.ledger_id, 0, size, bytes(32))
        lines = tuple(cosign(plain, site, world.site_signers[site], 1) for site in sites)
        return check_checkpoint(plain._replace(signatures=lines), known.trust).verdict

    assert verdict(9, "jp-fukuoka", "jp-ishikawa") is Verdict.HOLDS
    assert verdict(9, "jp-ibaraki") is Verdict.FAILS
    assert verdict(10, "jp-ibaraki") is Verdict.HOLDS
    assert verdict(10, "jp-fukuoka", "jp-ishikawa") is Verdict.FAILS


def test_trust_file_carries_what_was_followed_to_the_next_program(
    world: TestWorld, office: Chancellery, tmp_path: Path
) -> None:
    file = TrustFile(tmp_path / "trust.json", world.genesis, world.genesis_bytes)
    assert file.read().position == -1
    first = followed(world, office.act(7, LAND))
    second = follow(first, [office.announcement(8, "jp-fukuoka", 1, 2, 3), office.act(9, CARS)], 0)
    file.write(second)
    assert file.read().governance == second.governance
    file.write(first)
    assert file.read().position == 9, "a program that knows less took something back"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data.replace(b'"epoch": 0', b'"epoch": 1'), "signature"),
        (lambda data: data[:-20], "not JSON"),
        (lambda data: data.replace(b"sento-trust-1", b"sento-trust-3"), "format"),
    ],
)
def test_trust_file_is_believed_no_more_than_a_site(
    world: TestWorld,
    office: Chancellery,
    tmp_path: Path,
    spoil: Callable[[bytes], bytes],
    why: str,
) -> None:
    file = TrustFile(tmp_path / "trust.json", world.genesis, world.genesis_bytes)
    file.write(followed(world, office.act(7, LAND)))
    file.path.write_bytes(spoil(file.path.read_bytes()))
    with pytest.raises(SetupError, match=why) as refused:
        file.read()
    assert refused.value.code is Setup.TRUST_INVALID


def test_trust_file_of_another_ledger_is_refused(world: TestWorld, tmp_path: Path) -> None:
    other = build_genesis(rules=3, name="another")
    mine = TrustFile(tmp_path / "trust.json", world.genesis, world.genesis_bytes)
    mine.write(followed(world, Chancellery(world).act(7, LAND)))
    with pytest.raises(SetupError, match="another ledger"):
        TrustFile(mine.path, other.genesis, other.genesis_bytes).read()
