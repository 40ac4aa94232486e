"""What a hostile site, or whoever hands officers a key, may try on governance: lies in a copied ledger, long announcements, keys that seal nothing.

Texts of acts are judged alike by every interpreter, whatever Unicode version it knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from acts import enrol_reader, governed, one_key, set_threshold, start_key_epoch, words
from genesis_builder import SITES, base64_of, make_submission
from ledger_driver import LedgerDriver, code_of
from sento_node.ledger import replay
from sento_node.ledger.adopt import NotProven, OfferedBlock, OfferedRecord, OfferedSubmission, adopt_chunk
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import BlockResult
from sento_node.ledger.state import LedgerState
from sento_node.service.node_state import NodeState
from sento_node.service.registry_service import Context, RegistryService
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.acts import CHANGES, decode_act
from sento_proto.governance.site_rules import CONTENT_MAX_BYTES, SiteRules, site_rules_header
from sento_proto.governance.state import RegistryState, from_genesis
from sento_proto.identity import ROLES, Identity
from sento_proto.kek_seal import XWING_SECRET_BYTES, xwing_public
from sento_proto.record import make_record as record_of_header
from sento_proto.submission import sign_submission
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

CITY = "iizuka-city"
Lie = Callable[[OfferedBlock], OfferedBlock]


def _offered(result: BlockResult) -> OfferedBlock:
    standing = {item.nth: item.record for item in result.standing}
    (told,) = result.submissions
    records = tuple(
        OfferedRecord(
            outcome.record_hash,
            outcome.code,
            outcome.position,
            standing[nth].header_bytes if nth in standing else b"",
            standing[nth].payload if nth in standing else b"",
        )
        for nth, outcome in enumerate(told.outcomes)
    )
    submission = OfferedSubmission(None, told.author_key_id, told.signatures, records)
    return OfferedBlock(
        result.number, result.revision, result.lane, result.seq, result.site, result.size_before, None, (submission,)
    )  # fmt: skip


def _second(block: OfferedBlock, **fields: object) -> OfferedBlock:
    """The block with its second record told otherwise."""
    (submission,) = block.submissions
    first, second = submission.records
    told = submission._replace(records=(first, second._replace(**fields)))  # type: ignore[arg-type]
    return block._replace(submissions=(told,))


LIES: dict[str, Lie] = {
    "a refused record is known at another's position": lambda b: _second(b, code=Code.KNOWN, position=0),
    "a refused record is known at the other's position in this block": lambda b: _second(
        b, code=Code.KNOWN, position=1
    ),
    "a record is known beyond the end": lambda b: _second(b, code=Code.KNOWN, position=10**9),
    "a hash is short": lambda b: _second(b, record_hash=b"x"),
    "the site is no name": lambda b: b._replace(site="飯塚"),
    "the site's name fits no row": lambda b: b._replace(site="a" * 300),
    "the lane fits no row": lambda b: b._replace(lane="a" * 70_000),
    "the order is at its end": lambda b: b._replace(revision=2**64 - 1),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_a_copied_ledger_says_beside_the_tree_cannot_hurt_the_copy(lie: Lie) -> None:
    driver = governed()
    first = driver.order([make_submission(driver.world, CITY, [driver.record("a"), driver.record("z")])])
    second = driver.order([make_submission(driver.world, CITY, [driver.record("b"), driver.record("b")])])
    checkpoint = decode_checkpoint(driver.checkpoint().note)
    disk = MemoryDisk(driver.world.ledger_id)
    state = LedgerState(from_genesis(driver.world.genesis), MemoryStore(disk), disk.tip)
    with pytest.raises(NotProven):
        adopt_chunk(state, [_offered(first), lie(_offered(second))], checkpoint)
    assert (state.size, state.block) == (0, 0)
    assert adopt_chunk(state, [_offered(first), _offered(second)], checkpoint) == [first, second]


def _announce(driver: LedgerDriver, rules: tuple[int, ...], release: str) -> Code:
    signer = driver.world.site_signers[SITES[0]]
    said = SiteRules(SITES[0], rules, release)
    header = site_rules_header(driver.world.numbers.record_id(), signer.public_key.key_id, 1, said)
    submission = sign_submission(driver.world.ledger_id, [record_of_header(header, b"")], signer)
    return code_of(driver.order([submission]))


@pytest.mark.parametrize(
    ("rules", "release"),
    [(tuple(range(1, 66)), "1"), ((2,), "x" * 65), ((2,), "x" * CONTENT_MAX_BYTES)],
    ids=["many numbers", "a long release", "much content"],
)
def test_a_site_fills_no_ledger_with_long_announcements(rules: tuple[int, ...], release: str) -> None:
    assert _announce(governed(), rules, release) is Code.MALFORMED


def _reader_with(seal_key: bytes) -> dict[str, object]:
    return {**enrol_reader("kyushu-hospital", ("residency", "")), "seal_key": base64_of(seal_key)}


XWING = xwing_public(bytes(range(XWING_SECRET_BYTES)))
NO_KEYS = {
    "no point of P-256": b"\x04" + bytes(63) + b"\x01",
    "no ML-KEM vector": b"\xff" * 1184 + XWING[1184:],
    "a small-order X25519 point": XWING[:1184] + bytes(32),
}


@pytest.mark.parametrize("seal_key", NO_KEYS.values(), ids=NO_KEYS)
def test_no_reader_is_enrolled_with_a_key_to_which_nothing_can_be_sealed(seal_key: bytes) -> None:
    driver = governed()
    assert driver.judged(_reader_with(XWING)).code is Code.ACCEPTED
    refused = driver.judged(_reader_with(seal_key))
    assert refused.code is Code.ACT_REFUSED
    assert "seal_key" in refused.why


def _act(reason: str, **more: object) -> bytes:
    return json.dumps(
        {"format": "sento-act-1", "reason": reason, "changes": [set_threshold(2)], **more}
    ).encode()


@pytest.mark.parametrize("text", ["\U0001fae8", "\u0378", "\U000323b0", "葛\U000e0100城"])
def test_characters_newer_than_an_interpreter_are_text_at_every_site(text: str) -> None:
    assert decode_act(_act(text)).reason == text


@pytest.mark.parametrize("text", ["a\x85b", "a\u202eb", "a\u200bb", "a\u2028b", "a\ue000b", "a\ud800b", "a\xa0b", "a\U000e0041b"])  # fmt: skip
def test_what_hides_or_turns_text_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="text in one line"):
        decode_act(_act(text))


def test_an_unknown_field_is_named_in_words_that_can_be_sent() -> None:
    with pytest.raises(Malformed) as refused:
        decode_act(_act("why", **{"\ud800" + "x" * 1000: 1}))
    assert len(str(refused.value).encode()) < 200


def test_a_disk_with_an_act_of_a_newer_release_says_which_rules_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = governed()
    for site in SITES:
        assert driver.announce(site, [1, 2, 3]) is Code.ACCEPTED
    assert driver.act({"do": "set-rules", "rules": 3}) is Code.ACCEPTED
    assert driver.act(start_key_epoch("residency", 2)) is Code.ACCEPTED
    driver.flush()
    monkeypatch.delitem(CHANGES, "start-key-epoch")
    monkeypatch.setattr("sento_node.ledger.apply.RULES", {1: None, 2: None})
    with pytest.raises(UnknownRules, match="rules 3"):
        replay.governance_of(driver.world.genesis, driver.store)


class _Call:
    """What gRPC tells a servicer of a caller's certificate."""

    def __init__(self, role: str) -> None:
        self._name = Identity(role, "sato").uri.encode()

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_subject_alternative_name": [self._name]}


@pytest.mark.parametrize("role", ROLES)
async def test_whoever_follows_governance_may_have_its_places_proven(role: str) -> None:
    """Without checkpoint and proof an officer's program would never keep what it followed, and a site could take acts back at its next start."""
    driver = governed()
    node = SimpleNamespace(
        store=driver.store, governance=driver.governance, condition=SimpleNamespace(answers_reads=True)
    )
    service = RegistryService(cast("NodeState", node))
    context = cast("Context", _Call(role))
    proven = await service.Proof(client_pb2.ProofRequest(), context)
    assert proven.size == 0
    with pytest.raises(SentoError) as refused:
        await service.Checkpoint(client_pb2.CheckpointRequest(at_least_size=1), context)
    assert refused.value.code is Code.NOT_FOUND


def test_one_act_revokes_a_key_and_leaves_behind_every_key_epoch_that_it_made_keys_for() -> None:
    driver = governed()
    stolen = driver.world.author_signers[CITY]
    revoking = one_key("revoke-key", CITY, stolen)
    assert "start a new key epoch" in words(driver, revoking)
    epochs = [start_key_epoch("residency", 2), start_key_epoch("residency", 3, "closed")]
    assert driver.act(revoking, *epochs) is Code.ACCEPTED
    assert driver.governance.registries["residency"] == RegistryState(3, 3)
