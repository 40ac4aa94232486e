"""A relocation's plan is one file from which three acts follow: altered, signed by too few, of another ledger or epoch, stale or expired, it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from genesis_builder import OFFICERS, build_genesis
from relocation_world import COUNTRY, HOME, NOW_MS, OLD, TARGET, FakeWorld, fake_world, plan_of, wishes
from sento_client.relocating.making import make_plan
from sento_proto.errors import Code, SentoError
from sento_proto.governance.acts import judge_act, with_act
from sento_proto.governance.parts import ReceiptSet
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.relocation_plan import (
    ReceiptSets,
    RelocationPlan,
    RelocationRefused,
    Stage,
    Step,
    Target,
    act_of,
    check_belongs,
    check_signed,
    check_unsigned,
    decode_plan,
    encode_plan,
    offices_of,
    plan_hash,
    signed_plan,
    stage_of,
)
from sento_proto.wire import Malformed


@pytest.fixture
def fake() -> FakeWorld:
    return fake_world()


def governance_of(fake: FakeWorld) -> Governance:
    return fake.followed.governance


def check(
    plan: RelocationPlan, fake: FakeWorld, *, epoch: int = 0, now_ms: int = NOW_MS
) -> dict[Step, Governance]:
    governance = governance_of(fake)
    check_belongs(plan, governance, epoch)
    check_signed(plan, governance)
    return check_unsigned(plan, governance, 2, now_ms)


def test_a_signed_plan_survives_its_file_and_its_acts_follow_from_it(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    again = decode_plan(encode_plan(plan))
    assert again == plan
    assert plan_hash(again) == plan_hash(replace(plan, signatures=None))
    assert [act_of(again, step) for step in Step] == [act_of(plan, step) for step in Step]
    give, retire, undo = (act_of(plan, step) for step in Step)
    assert retire.header.previous == undo.header.previous == give.record_hash
    assert give.header.previous == plan.last_act


def test_its_acts_give_votes_take_them_and_lead_back(fake: FakeWorld) -> None:
    after = check(plan_of(fake), fake)
    assert after[Step.GIVE].voting_sites == (*HOME, TARGET)
    assert after[Step.GIVE].receipt_set == ReceiptSet((*HOME, TARGET), 3)
    assert after[Step.GIVE].sites[TARGET].ordering_url == "https://lu.example:7102"
    assert after[Step.RETIRE].voting_sites == (*HOME[1:], TARGET)
    assert after[Step.RETIRE].receipt_set == ReceiptSet((*HOME[1:], TARGET), 2)
    assert after[Step.UNDO].voting_sites == HOME
    assert after[Step.UNDO].receipt_set == governance_of(fake).receipt_set


@pytest.mark.parametrize("pair", [(Step.RETIRE, Step.UNDO), (Step.UNDO, Step.RETIRE)])
def test_of_retire_and_undo_only_the_first_can_stand(fake: FakeWorld, pair: tuple[Step, Step]) -> None:
    plan = plan_of(fake)
    first, second = pair
    standing = check(plan, fake)[first]
    assert act_of(plan, second).header.previous != standing.last_act


def test_too_few_signatures_are_refused_and_an_officer_with_the_deputy_counts_once(fake: FakeWorld) -> None:
    one = plan_of(fake, OFFICERS[0])
    with pytest.raises(RelocationRefused, match="1 officers signed and 2 are needed") as refused:
        check(one, fake)
    assert refused.value.code is Code.TOO_FEW_OFFICERS
    both = signed_plan(one, fake.world.officer_signers["deputy-one"])
    assert len(both.signed(Step.GIVE)) == 2
    with pytest.raises(RelocationRefused, match="1 officers signed"):
        check(both, fake)
    assert len(signed_plan(one, fake.world.officer_signers[OFFICERS[0]]).signed(Step.RETIRE)) == 1


def test_a_plan_of_another_ledger_or_epoch_is_refused(fake: FakeWorld) -> None:
    other = from_genesis(build_genesis(rules=5, name="another").genesis)
    with pytest.raises(RelocationRefused, match="is for ledger") as refused:
        check_belongs(plan_of(fake), other, 0)
    assert refused.value.code is Code.WRONG_LEDGER
    with pytest.raises(RelocationRefused, match="is for epoch 0 and the ledger is in epoch 1") as refused:
        check(plan_of(fake), fake, epoch=1)
    assert refused.value.code is Code.PLAN_NOT_FIT


def test_a_plan_that_another_act_overtook_or_that_expired_is_refused(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    with pytest.raises(RelocationRefused, match="expired"):
        check(plan, fake, now_ms=plan.expires_at_ms)
    fake.other_act({"do": "add-registry", "registry": "cover"})
    with pytest.raises(RelocationRefused, match="Another officers' act stands") as refused:
        check(plan, fake)
    assert refused.value.code is Code.STALE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("last_act", "11" * 32),
        ("epoch", 1),
        ("legal_basis", "another"),
        ("registries", ["tax"]),
        ("targets", [{"site": "tw-taipei", "address": "", "ordering_url": ""}]),
        ("retire", ["jp-ibaraki"]),
        ("lead_to", "jp-ibaraki"),
        ("accepts", []),
        ("made_at_ms", 1),
        ("expires_at_ms", NOW_MS * 2),
        ("words", ["Other words."]),
    ],
)
def test_a_plan_altered_after_it_was_signed_is_refused(fake: FakeWorld, field: str, value: object) -> None:
    told = json.loads(encode_plan(plan_of(fake)))
    assert told[field] != value
    told[field] = value
    with pytest.raises(RelocationRefused) as refused:
        offices_of(decode_plan(json.dumps(told).encode()), governance_of(fake))
    assert refused.value.code is Code.BAD_SIGNATURE


def test_a_signature_moved_from_one_act_to_another_is_refused(fake: FakeWorld) -> None:
    told = json.loads(encode_plan(plan_of(fake)))
    signature = told["signatures"][0]
    signature["undo"], signature["retire"] = signature["retire"], signature["undo"]
    with pytest.raises(RelocationRefused, match="altered"):
        offices_of(decode_plan(json.dumps(told).encode()), governance_of(fake))


def _without(field: str) -> Callable[[dict[str, object]], object]:
    return lambda told: told.pop(field)


@pytest.mark.parametrize(
    "spoil",
    [
        _without("accepts"),
        lambda told: told.update(more=1),
        lambda told: told.update(format="sento-relocation-2"),
        lambda told: told.update(targets=[]),
        lambda told: told.update(retire=[]),
        lambda told: told.update(retire=[TARGET]),
        lambda told: told.update(lead_to=OLD),
        lambda told: told.update(legal_basis=" "),
        lambda told: told.update(expires_at_ms=told["made_at_ms"]),
        lambda told: told["targets"][0].update(ordering_url="http://lu.example:7102"),
        lambda told: told.update(signatures=told["signatures"] * 2),
        lambda told: told["signatures"][0].pop("undo"),
    ],
)
def test_a_file_that_is_no_plan_is_malformed(
    fake: FakeWorld, spoil: Callable[[dict[str, object]], object]
) -> None:
    told = json.loads(encode_plan(plan_of(fake)))
    spoil(told)
    with pytest.raises(Malformed):
        decode_plan(json.dumps(told).encode())


def test_how_far_it_is_follows_from_the_acts_that_stand(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    give, retire, undo = (act_of(plan, step).record_hash for step in Step)
    other = b"\1" * 32
    assert stage_of(plan, []) is Stage.NOT_BEGUN
    assert stage_of(plan, [other]) is Stage.STALE
    assert stage_of(plan, [give]) is Stage.GIVEN
    assert stage_of(plan, [give, other]) is Stage.OVERTAKEN
    assert stage_of(plan, [give, retire]) is stage_of(plan, [give, retire, other]) is Stage.RETIRED
    assert stage_of(plan, [give, undo]) is stage_of(plan, [give, undo, other]) is Stage.UNDONE


# Making one.


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"targets": (Target("kr-busan"),)}, "kr-busan is no site"),
        ({"targets": (Target("jp-ibaraki"),)}, "jp-ibaraki votes already"),
        ({"retire": (TARGET,), "targets": (Target(OLD),)}, "votes already"),
        ({"retire": ()}, "a relocation has a site"),
        ({"targets": (Target(TARGET), Target(TARGET))}, "stands twice"),
        ({"lead_to": OLD}, "cannot lead"),
        ({"registries": ("fishing",)}, "no registry fishing"),
    ],
)
def test_a_plan_that_governance_does_not_allow_is_not_made(
    fake: FakeWorld, fields: dict[str, object], why: str
) -> None:
    with pytest.raises(SentoError, match=why) as refused:
        make_plan(governance_of(fake), 0, wishes(**fields), NOW_MS)
    assert refused.value.code is Code.BAD_REQUEST


def test_a_plan_whose_votes_would_stand_badly_is_made_only_with_what_officers_accept_by_name(
    fake: FakeWorld,
) -> None:
    with pytest.raises(SentoError, match=COUNTRY) as refused:
        make_plan(governance_of(fake), 0, wishes(accepts=()), NOW_MS)
    assert refused.value.code is Code.PLACEMENT_REFUSED
    made = make_plan(governance_of(fake), 0, wishes(accepts=(COUNTRY, "satellite:nowhere")), NOW_MS)
    assert made.accepts == (COUNTRY,), "only what is there is signed"
    assert any("Accepted by the officers" in words for words in made.words)


def test_acts_stand_under_the_shared_judgement_with_real_signers(fake: FakeWorld) -> None:
    plan, governance = plan_of(fake), governance_of(fake)
    for at, step in enumerate((Step.GIVE, Step.RETIRE), start=2):
        record = act_of(plan, step)
        signers = [one.officer_key_id for one in plan.signed(step)]
        judged = judge_act(governance, record.header.content, signers, at)
        assert judged.code is Code.ACCEPTED, judged.why
        governance = with_act(judged.after, record.record_hash, at)
    assert governance.voting_sites == (*HOME[1:], TARGET)


def test_the_form_of_plan_and_acts_is_pinned() -> None:
    """A changed byte is a changed format: officers' signatures under plans of the release before would not hold."""
    home = ReceiptSet(HOME, 2)
    plan = RelocationPlan(
        b"\1" * 32, 2, b"\2" * 32, "Decision 7/2027: évacuation", ("residency", "tax"),
        (Target(TARGET, "lu.example:7101", "https://lu.example:7102"), Target("tw-taipei")), (OLD,), TARGET,
        ReceiptSets(home, ReceiptSet((*HOME, TARGET), 3), home), (COUNTRY,), NOW_MS, NOW_MS + 1, ("One sentence.",),
    )  # fmt: skip
    assert plan_hash(plan).hex() == "7892b310edba96910509e677e62d76769c85bb49341d1054a203d7e487811e26"
    assert [act_of(plan, step).record_hash.hex()[:32] for step in Step] == [
        "dd5f820156c45377a856b944c265f96a",
        "428f92baffc01f07c37b148beb76611b",
        "b298d90f817478e7c4c10386a2837928",
    ]
