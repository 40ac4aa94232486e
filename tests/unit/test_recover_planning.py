"""A plan to recover says what it keeps and loses, brings lost acts back first of all, opens the gap, and is refused where it could be false in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from acts import carry_out_erasure, erase, one_key, permit
from genesis_builder import OFFICERS, build_genesis
from governed import Chancellery, followed
from sento_client.governing.following import Followed
from sento_client.recovering.collected import Collected, Known, SurveyFile
from sento_client.recovering.forking import furthest, unknown_to
from sento_client.recovering.planning import STALE_MS, Planned, Wishes, make_plan
from sento_proto.checkpoint import encode_checkpoint
from sento_proto.epoch_plan import (
    ACTS_MAX,
    PlanRefused,
    check_plan,
    decode_plan,
    encode_plan,
    plan_hash,
    signed_plan,
)
from sento_proto.errors import Code, SentoError
from sento_proto.governance.acts import decode_act
from sento_proto.governance.author_changes import RevokeKey
from sento_proto.governance.epoch_changes import EPOCH_MAX
from sento_proto.governance.erasure_changes import CarryOutErasure
from sento_proto.governance.gap_changes import SetGap
from survivors import (
    EMBASSY,
    NOW_MS,
    SECOND,
    URLS,
    VOTING,
    Ruins,
    altered,
    contacts,
    wishes,
    world_with_embassies,
)

FORK = 30


@pytest.fixture
def ruins() -> Ruins:
    return Ruins(world_with_embassies(deputies={OFFICERS[0]: "deputy-one"}))


def nothing_governed(ruins: Ruins) -> Followed:
    return Followed.start(ruins.world.genesis)


def both_embassies(ruins: Ruins, known: Sequence[Known] = (), **fields: object) -> Collected:
    heard = contacts(jp_fukuoka=NOW_MS - 720_000, jp_ishikawa=0)
    return ruins.collected(
        ruins.survey(EMBASSY, FORK, agreed=28, contacts=heard),
        ruins.survey(SECOND, 25, agreed=25),
        known=known,
        **fields,
    )


def planned(ruins: Ruins, collected: Collected, known: Followed | None = None, **more: object) -> Planned:
    return make_plan(collected, known or nothing_governed(ruins), wishes(**more))


def refused(
    code: Code, ruins: Ruins, collected: Collected, known: Followed | None = None, **more: object
) -> str:
    with pytest.raises(SentoError) as caught:
        planned(ruins, collected, known, **more)
    assert caught.value.code is code, caught.value.detail
    return caught.value.detail


# -- what a plan holds ------------------------------------------------------------------------------------------------------


def test_two_embassies_vote_from_the_larger_state_and_the_sites_would_take_the_signed_plan(
    ruins: Ruins,
) -> None:
    plan = planned(ruins, both_embassies(ruins)).plan
    assert (plan.reason, plan.epoch, plan.parent.size, plan.parent.root) == (
        "recover",
        1,
        FORK,
        ruins.tree(FORK).root,
    )
    assert plan.agreed is not None
    assert (plan.agreed.size, plan.voting, plan.ordering) == (28, (SECOND, EMBASSY), URLS)
    assert (plan.receipt_set.sites, plan.receipt_set.quorum) == ((SECOND, EMBASSY), 2)
    for name in OFFICERS[:2]:
        plan = signed_plan(plan, ruins.world.officer_signers[name])
    again = decode_plan(encode_plan(plan))
    after = check_plan(again, nothing_governed(ruins).governance)
    assert (after.epoch, after.voting_sites, len(after.gaps)) == (1, (EMBASSY, SECOND), 1)
    assert (after.gaps[0].open, after.gaps[0].from_size) == (True, FORK)


def test_the_words_say_what_is_kept_what_may_be_lost_who_signs_and_how_long(ruins: Ruins) -> None:
    known = [ruins.receipt(10), ruins.receipt(33), ruins.receipt(34, registry="", waits=True)]
    made = planned(ruins, both_embassies(ruins, known=known))
    words = " ".join(made.plan.words)
    assert f"keeps the first {FORK} records of epoch 0, as {EMBASSY} holds them" in words
    assert "The first 28 of them a quorum had cosigned" in words
    assert (
        "2 records known from receipts or outboxes are not among them: 1 in registry not known here and 1 in residency"
        in words
    )
    assert "1 of them wait in outboxes" in words
    assert "both sides may acknowledge" in words
    assert (
        "2 of these 3 offices must sign, the officer or the deputy: officer-one (deputy: deputy-one)" in words
    )
    assert "about 15 s" in words
    assert len(made.missing) == 2


def test_the_evidence_says_who_answers_whom_and_since_when_and_what_people_added(ruins: Ruins) -> None:
    plan = planned(
        ruins, both_embassies(ruins), said=("The governor by telephone, 14:05: the hall burns.",)
    ).plan
    text = "\n".join(plan.evidence)
    assert f"{EMBASSY} answered at " in text
    assert "not jp-fukuoka, last heard 2027-01-15 07:58:00 UTC" in text
    assert "not jp-ishikawa, not heard from in its present life" in text
    assert "jp-fukuoka did not answer this computer" in text
    assert f"last heard by {EMBASSY} at 2027-01-15 07:58:00 UTC" in text
    assert plan.evidence[-1].startswith("The governor")


def test_what_a_quorum_cosigned_beyond_every_survivor_stands_in_the_words(ruins: Ruins) -> None:
    beyond = ruins.ledger.checkpoint(38, sites=VOTING[:2])
    collected = both_embassies(ruins, checkpoints=(encode_checkpoint(beyond).decode(),))
    assert "A quorum had cosigned 38 records: at least 8 of them are not kept" in " ".join(
        planned(ruins, collected).plan.words
    )


def test_equal_collections_and_wishes_make_the_same_plan_byte_for_byte(ruins: Ruins) -> None:
    collected = both_embassies(ruins)
    first, second = (planned(ruins, collected).plan for _ in range(2))
    assert encode_plan(first) == encode_plan(second)


def test_the_epoch_s_number_is_above_every_epoch_that_anybody_saw(ruins: Ruins) -> None:
    collected = both_embassies(ruins, known=[ruins.receipt(5, epoch=3)])
    assert planned(ruins, collected).plan.epoch == 4


def test_a_store_that_names_the_last_epoch_there_can_be_is_said_and_stops_nothing_in_silence(
    ruins: Ruins,
) -> None:
    forged = both_embassies(ruins, known=[ruins.receipt(5, epoch=EPOCH_MAX)])
    with pytest.raises(SentoError, match=r"iizuka-city.* name epoch 9999") as caught:
        planned(ruins, forged)
    assert caught.value.code is Code.PLAN_NOT_FIT


def test_a_collection_from_the_future_says_nothing_of_who_answers_now(ruins: Ruins) -> None:
    with pytest.raises(SentoError, match="later than it is now"):
        planned(ruins, replace(both_embassies(ruins), made_at_ms=NOW_MS + 3_600_000))


# -- lost acts ----------------------------------------------------------------------------------------------------------------


def revoked_behind(ruins: Ruins) -> tuple[Followed, bytes]:
    """A permission at position 20, a key's revocation at 35, behind the fork; and the record hash of the first."""
    office = Chancellery(ruins.world)
    stays = office.act(20, permit("kaga-city", "write", ("tax", "")))
    lost = office.act(
        35, one_key("revoke-key", "kaga-city", ruins.world.signer("kaga-city")), reason="stolen key"
    )
    return followed(ruins.world, stays, lost), stays.record_hash


def with_last_act(ruins: Ruins, last_act: bytes) -> Collected:
    return ruins.collected(
        ruins.survey(EMBASSY, FORK, agreed=28, last_act=last_act), ruins.survey(SECOND, 25, agreed=25, last_act=last_act)
    )  # fmt: skip


def test_a_key_s_revocation_in_the_lost_tail_is_the_epoch_s_first_act_before_the_gap(ruins: Ruins) -> None:
    known, last_act = revoked_behind(ruins)
    made = planned(ruins, with_last_act(ruins, last_act), known)
    acts = [decode_act(content) for content in made.plan.acts]
    assert [type(act.changes[0]) for act in acts] == [RevokeKey, SetGap]
    assert acts[0].reason == "stolen key"
    assert "lost at position 35 (stolen key)" in " ".join(made.plan.words)
    plan = made.plan
    for name in OFFICERS[:2]:
        plan = signed_plan(plan, ruins.world.officer_signers[name])
    after = check_plan(plan, made.fork.governance)
    key_id = ruins.world.signer("kaga-city").public_key.key_id
    assert after.author_keys[key_id].revoked


def test_an_erasure_carried_out_in_the_lost_tail_names_its_order_where_that_stands_now(ruins: Ruins) -> None:
    office = Chancellery(ruins.world)
    order = office.act(34, erase(ruins.ledger.hashes[3]))
    known = followed(ruins.world, order, office.act(36, carry_out_erasure(34)))
    made = planned(ruins, both_embassies(ruins), known)
    (carried_out,) = decode_act(made.plan.acts[1]).changes
    assert isinstance(carried_out, CarryOutErasure)
    assert carried_out.order == FORK + 1
    assert not any("NOT signed again" in words for words in made.plan.words)


def test_a_lost_act_about_votes_is_said_and_left_out_for_the_plan_decides_them(ruins: Ruins) -> None:
    office = Chancellery(ruins.world)
    act = office.act(FORK + 1, {"do": "set-site-votes", "name": "se-uppsala", "votes": True}, reason="old")
    made = planned(ruins, both_embassies(ruins), followed(ruins.world, act))
    assert [type(decode_act(content).changes[0]) for content in made.plan.acts] == [SetGap]
    (left_out,) = [words for words in made.plan.words if "NOT signed again" in words]
    assert "which the plan itself decides now" in left_out


def test_a_lost_act_for_which_the_plan_has_no_room_is_said_and_left_out(ruins: Ruins) -> None:
    office = Chancellery(ruins.world)
    lost = [
        office.act(FORK + n, permit("kaga-city", "write", ("tax", f"part-{n}")), reason=f"act {n}")
        for n in range(ACTS_MAX)
    ]
    made = planned(ruins, both_embassies(ruins), followed(ruins.world, *lost))
    assert len(made.plan.acts) == ACTS_MAX
    (left_out,) = [words for words in made.plan.words if "NOT signed again" in words]
    assert f"(act {ACTS_MAX - 1}): The plan holds no more acts." in left_out
    assert not unknown_to(made.plan, followed(ruins.world, *lost))


def test_a_survivor_with_newer_acts_than_this_computer_is_said_and_left_to_the_sites(ruins: Ruins) -> None:
    known = followed(ruins.world, Chancellery(ruins.world).act(20, permit("kaga-city", "write", ("tax", ""))))
    made = planned(ruins, with_last_act(ruins, b"\x09" * 32), known)
    assert made.fork.followed_to == 20
    assert "followed governance up to position 20" in " ".join(made.plan.words)


def test_a_survivor_without_an_act_that_was_followed_below_its_fork_is_another_history(ruins: Ruins) -> None:
    known = followed(ruins.world, Chancellery(ruins.world).act(20, permit("kaga-city", "write", ("tax", ""))))
    assert "two histories" in refused(Code.TWO_EPOCHS, ruins, both_embassies(ruins), known)


def test_trust_files_that_go_apart_are_not_chosen_between(ruins: Ruins) -> None:
    both = [
        followed(ruins.world, Chancellery(ruins.world).act(20, permit("kaga-city", "write", (registry, ""))))
        for registry in ("tax", "health")
    ]
    with pytest.raises(SentoError, match="two trust files"):
        furthest(both)
    assert furthest([nothing_governed(ruins), both[0]]) is both[0]


def test_an_officer_whose_computer_knows_an_act_that_the_plan_forgets_finds_it(ruins: Ruins) -> None:
    known, last_act = revoked_behind(ruins)
    blind = planned(ruins, with_last_act(ruins, last_act), known.first(30)).plan
    assert [step.position for step in unknown_to(blind, known)] == [35]
    seeing = planned(ruins, with_last_act(ruins, last_act), known).plan
    assert not unknown_to(seeing, known)


# -- what is refused ------------------------------------------------------------------------------------------------------------


def test_no_quiet_recovery_while_a_majority_answers_and_a_loud_one_says_why(ruins: Ruins) -> None:
    surveys = [ruins.survey(site, FORK, agreed=28, tail=0) for site in VOTING[:2]]
    collected = ruins.collected(*surveys)
    assert "2 of 3 voting sites" in refused(Code.MAJORITY_ANSWERS, ruins, collected)
    plan = planned(ruins, collected, although="the network between them is gone for weeks").plan
    assert plan.although == "the network between them is gone for weeks"
    assert "although 2 of 3 voting sites answer" in " ".join(plan.words)


def test_one_voter_alone_needs_the_officers_word(ruins: Ruins) -> None:
    collected = ruins.collected(ruins.survey(EMBASSY, FORK, agreed=28))
    assert "--alone" in refused(Code.PLAN_NOT_FIT, ruins, collected, ordering=URLS[1:])
    plan = planned(ruins, collected, alone=True, ordering=URLS[1:]).plan
    assert (plan.alone, plan.voting, plan.receipt_set.quorum) == (True, (EMBASSY,), 1)
    assert "ONE site alone votes" in " ".join(plan.words)


def test_an_embassy_without_a_place_for_a_member_does_not_vote(ruins: Ruins) -> None:
    assert "no surviving site" in refused(Code.PLAN_NOT_FIT, ruins, both_embassies(ruins), ordering=())


def test_a_copy_that_nobody_signed_gives_its_state_and_no_voter_and_must_be_run(ruins: Ruins) -> None:
    collected = both_embassies(ruins)
    copy = ruins.file(ruins.survey(VOTING[2], 20, agreed=20, tail=15), answered=False, signed=False)
    plan = planned(ruins, replace(collected, surveys=(*collected.surveys, copy))).plan
    assert (plan.parent.size, plan.voting) == (35, (SECOND, EMBASSY))
    assert f"{VOTING[2]} does not vote: it must run in the new epoch with this very disk" in " ".join(
        plan.words
    )


def test_a_voter_that_governance_does_not_know_is_refused(ruins: Ruins) -> None:
    assert "no site nowhere" in refused(
        Code.PLAN_NOT_FIT, ruins, both_embassies(ruins), voting=("nowhere", EMBASSY)
    )


def test_an_old_collection_is_stale(ruins: Ruins) -> None:
    late = NOW_MS + STALE_MS
    assert "collected 24 hours ago" in refused(
        Code.PLAN_NOT_FIT, ruins, both_embassies(ruins), made_at_ms=late
    )
    assert planned(
        ruins, both_embassies(ruins), made_at_ms=late, although="the courier took a day"
    ).plan.although


def test_a_collection_of_another_ledger_is_refused(ruins: Ruins) -> None:
    assert "collected for ledger" in refused(
        Code.WRONG_LEDGER, ruins, replace(both_embassies(ruins), ledger_id=b"\1" * 32)
    )


def test_a_survey_altered_in_the_collection_is_refused(ruins: Ruins) -> None:
    collected = both_embassies(ruins)
    files = (altered(collected.surveys[0], {"has_majority": True}), collected.surveys[1])
    assert "altered" in refused(Code.BAD_SIGNATURE, ruins, replace(collected, surveys=files))
    nonsense = (SurveyFile(True, b"{}"), *collected.surveys[1:])
    assert "leave this survey out" in refused(Code.MALFORMED, ruins, replace(collected, surveys=nonsense))


def test_survivors_without_a_record_are_nothing_to_go_on_from(ruins: Ruins) -> None:
    assert "nothing to go on from" in refused(
        Code.PLAN_NOT_FIT, ruins, ruins.collected(ruins.survey(EMBASSY, 0))
    )


def test_rules_that_know_no_epochs_are_said(ruins: Ruins) -> None:
    old = Ruins(build_genesis(embassies=(EMBASSY, SECOND), rules=4))
    assert "rules 4" in refused(Code.PLAN_NOT_FIT, old, both_embassies(old))


# -- what happens to a plan behind it -------------------------------------------------------------------------------------------


def signed(ruins: Ruins, count: int = 2) -> Planned:
    made = planned(ruins, both_embassies(ruins))
    plan = made.plan
    for name in OFFICERS[:count]:
        plan = signed_plan(plan, ruins.world.officer_signers[name])
    return made._replace(plan=plan)


def test_too_few_signatures_are_refused_by_the_judgement_that_every_site_makes(ruins: Ruins) -> None:
    with pytest.raises(PlanRefused, match="Too few officers"):
        check_plan(signed(ruins, 1).plan, nothing_governed(ruins).governance)


@pytest.mark.parametrize("field", ["words", "evidence", "although", "acts", "ordering"])
def test_a_plan_altered_behind_its_signatures_is_another_plan(ruins: Ruins, field: str) -> None:
    plan = signed(ruins).plan
    changed: dict[str, object] = {
        "words": ("Nothing is lost.",),
        "evidence": (),
        "although": "because",
        "acts": plan.acts[:-1],
        "ordering": ((EMBASSY, "https://elsewhere:1"),),
    }
    other = replace(plan, **{field: changed[field]})  # type: ignore[arg-type]  # each value is its field's
    assert plan_hash(other) != plan_hash(plan)
    with pytest.raises(PlanRefused):
        check_plan(other, nothing_governed(ruins).governance)


def test_wishes_name_the_voters_and_the_receipt_set(ruins: Ruins) -> None:
    plan = planned(
        ruins, both_embassies(ruins), voting=(EMBASSY, SECOND), receipt_sites=(EMBASSY, SECOND), quorum=2
    ).plan
    assert plan.voting == (EMBASSY, SECOND)
    assert isinstance(wishes(), Wishes)
