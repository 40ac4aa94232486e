"""Which state a recovery goes on from: what was acknowledged must be in it, what nobody can judge is kept, and two histories are never chosen between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sento_client.recovering.choosing import Choice, choose, majority_answers
from sento_client.recovering.collected import SurveyFile
from sento_client.recovering.survey_files import Witness, judge_survey
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.survey import LogTail, Survey, Tree
from survivors import EMBASSY, SECOND, VOTING, Ruins, altered


@pytest.fixture
def ruins() -> Ruins:
    return Ruins()


def governance(ruins: Ruins) -> Governance:
    return from_genesis(ruins.world.genesis)


def witnesses(ruins: Ruins, *surveys: Survey, answered: bool = True) -> list[Witness]:
    return [judge_survey(ruins.file(one, answered=answered), governance(ruins)) for one in surveys]


def chosen(
    ruins: Ruins, *surveys: Survey, seen: tuple[Checkpoint, ...] = (), take: str | None = None
) -> Choice:
    return choose(witnesses(ruins, *surveys), seen, governance(ruins), take)


def refused(code: Code, ruins: Ruins, *surveys: Survey, seen: tuple[Checkpoint, ...] = ()) -> str:
    with pytest.raises(SentoError) as caught:
        chosen(ruins, *surveys, seen=seen)
    assert caught.value.code is code
    return caught.value.detail


# -- the rule -----------------------------------------------------------------------------------------------------------


def test_of_two_embassies_the_larger_is_taken_with_the_largest_tree_a_quorum_cosigned(ruins: Ruins) -> None:
    choice = chosen(ruins, ruins.survey(EMBASSY, 30, agreed=28), ruins.survey(SECOND, 25, agreed=25))
    assert (choice.best.site, choice.tree.size) == (EMBASSY, 30)
    assert choice.agreed is not None
    assert (choice.agreed.size, choice.agreed.block) == (28, 28)
    assert choice.alternatives == (f"{SECOND} holds 25 records, 5 fewer.",)


def test_a_surviving_voter_brings_the_end_of_its_log_behind_what_an_embassy_holds(ruins: Ruins) -> None:
    voter = ruins.survey(VOTING[2], 20, agreed=20, tail=15, uncommitted=2)
    choice = chosen(ruins, ruins.survey(EMBASSY, 30, agreed=28), voter)
    assert (choice.best.site, choice.tree.size) == (VOTING[2], 35)
    assert any("2 of the blocks at the end" in note for note in choice.notes)


def test_of_two_logs_the_higher_term_is_taken_though_it_is_shorter_and_the_other_is_said(
    ruins: Ruins,
) -> None:
    old = ruins.survey(VOTING[0], 20, agreed=20, tail=10, uncommitted=10, log_end=(2, 130))
    new = ruins.survey(VOTING[1], 20, agreed=20, tail=6, uncommitted=6, log_end=(3, 126))
    choice = chosen(ruins, old, new)
    assert (choice.best.site, choice.tree.size) == (VOTING[1], 26)
    assert f"{VOTING[0]} holds 30 records, 4 more" in choice.alternatives[0]


def test_ends_of_one_length_that_differ_are_decided_by_the_log_and_both_are_said(ruins: Ruins) -> None:
    other = replace(
        ruins.survey(VOTING[0], 20, agreed=20, tail=4, uncommitted=4, log_end=(2, 104)),
        extended=Tree(24, b"\x07" * 32, 24),
    )
    choice = chosen(
        ruins, other, ruins.survey(VOTING[1], 20, agreed=20, tail=4, uncommitted=4, log_end=(3, 104))
    )
    assert choice.best.site == VOTING[1]
    assert "as many records with another end" in choice.alternatives[0]


def test_an_uncommitted_end_that_need_not_hold_what_an_embassy_knows_as_committed_is_not_taken(
    ruins: Ruins,
) -> None:
    behind = ruins.survey(VOTING[0], 10, agreed=10, tail=25, uncommitted=25, log_end=(1, 99))
    choice = chosen(ruins, ruins.survey(EMBASSY, 30, agreed=28), behind)
    assert (choice.best.site, choice.tree.size) == (EMBASSY, 30)
    assert "5 more; the end of its log is not known to be committed" in choice.alternatives[0]


def test_an_embassy_with_an_old_but_valid_checkpoint_is_no_reason_to_go_back_to_it(ruins: Ruins) -> None:
    choice = chosen(ruins, ruins.survey(EMBASSY, 12, agreed=12), ruins.survey(SECOND, 31, agreed=None))
    assert (choice.best.site, choice.tree.size) == (SECOND, 31)
    assert choice.agreed is not None
    assert choice.agreed.size == 12


def test_the_highest_epoch_that_officers_began_comes_before_any_size(ruins: Ruins) -> None:
    begun = Epoch(1, 0, 12, b"\x01" * 32, 12, 12, b"\x02" * 32, "recover", 12)
    surveys = witnesses(ruins, ruins.survey(EMBASSY, 15, epoch=1), ruins.survey(SECOND, 30, agreed=28))
    choice = choose(surveys, (), governance(ruins).changed(epochs=(begun,)))
    assert (choice.best.site, choice.best.survey.epoch) == (EMBASSY, 1)
    assert any("stands in epoch 0, which ended" in words for words in choice.alternatives)


def test_an_epoch_that_no_followed_act_began_puts_no_honest_survivor_aside(ruins: Ruins) -> None:
    lies = replace(ruins.survey(EMBASSY, 15, epoch=9), last_act=b"\x09" * 32)
    assert "that it stands in epoch 9" in refused(
        Code.PLAN_NOT_FIT, ruins, lies, ruins.survey(SECOND, 30, agreed=28)
    )


@pytest.mark.parametrize(("waits_with", "other", "taken"), [(30, 15, EMBASSY), (15, 30, SECOND)])
def test_who_waits_for_the_act_of_an_epoch_that_never_opened_is_weighed_where_its_records_stand(
    ruins: Ruins, waits_with: int, other: int, taken: str
) -> None:
    waits = ruins.survey(EMBASSY, waits_with, epoch=1)
    assert chosen(ruins, waits, ruins.survey(SECOND, other)).best.site == taken


@pytest.mark.parametrize(
    "claim",
    [
        {"extended": Tree(39, b"\x07" * 32, 39)},
        {"extended": Tree(39, b"\x07" * 32, 39), "tail": LogTail(2, 0, 9, 900, "")},
        {"extended": Tree(39, b"\x07" * 32, 12), "tail": LogTail(0, 0, 9, 900, "")},
        {"tail": LogTail(1_000_000, 0, 9, 900, "")},
        {"tail": LogTail(3, 4, 9, 900, ""), "extended": Tree(15, b"\x07" * 32, 15)},
        {"extended": Tree(11, b"\x07" * 32, 11)},
        {"extended": Tree(12, b"\x07" * 32, 12)},
    ],
    ids=[
        "records of no log",
        "more blocks than its log holds",
        "records of no block",
        "blocks that its state does not have",
        "more uncommitted than there are",
        "shorter with its log than without",
        "two roots of one size",
    ],
)
def test_a_survivor_that_claims_more_than_its_own_words_bear_is_no_witness(
    ruins: Ruins, claim: dict[str, object]
) -> None:
    lies = ruins.file(replace(ruins.survey(VOTING[0], 12, agreed=12), **claim))  # type: ignore[arg-type]  # fields of their own types
    with pytest.raises(SentoError, match="contradicts itself") as caught:
        judge_survey(lies, governance(ruins))
    assert caught.value.code is Code.MALFORMED


def test_officers_may_take_another_survivor_and_the_plan_says_so(ruins: Ruins) -> None:
    surveys = (ruins.survey(EMBASSY, 30, agreed=28), ruins.survey(SECOND, 25, agreed=25))
    choice = chosen(ruins, *surveys, take=SECOND)
    assert choice.tree.size == 25
    assert f"The state of {SECOND} was chosen by the officers against the rule." in choice.notes
    with pytest.raises(SentoError, match="is no survivor"):
        chosen(ruins, *surveys, take="nowhere")


def test_what_officers_take_names_only_the_agreed_tree_that_its_ledger_holds(ruins: Ruins) -> None:
    behind = ruins.survey(VOTING[0], 10, agreed=10, tail=25, uncommitted=25, log_end=(1, 99))
    choice = chosen(ruins, ruins.survey(EMBASSY, 30, agreed=28), behind, take=VOTING[0])
    assert choice.agreed is not None
    assert (choice.tree.size, choice.agreed.size, choice.quorum_size) == (35, 10, 28)


def test_what_a_quorum_cosigned_beyond_every_survivor_is_known_from_a_receipt(ruins: Ruins) -> None:
    beyond = ruins.ledger.checkpoint(38, sites=VOTING[:2])
    lonely = ruins.ledger.checkpoint(40, sites=VOTING[:1])
    choice = chosen(ruins, ruins.survey(EMBASSY, 30, agreed=28), seen=(beyond, lonely))
    assert choice.quorum_size == 38


# -- disks that were put back, logs that cannot be read ---------------------------------------------------------------------


def test_a_disk_that_was_put_back_is_named_and_not_taken_where_another_holds_as_much(ruins: Ruins) -> None:
    back = ruins.survey(VOTING[0], 20, agreed=20, tail=2, log_end=(9, 500), cosigned_size=33)
    choice = chosen(ruins, back, ruins.survey(EMBASSY, 22, agreed=20))
    assert choice.best.site == EMBASSY
    assert any("once cosigned 33 records" in words for words in choice.alternatives)


def test_a_disk_that_was_put_back_and_alone_holds_what_was_committed_is_not_passed_over(ruins: Ruins) -> None:
    back = ruins.survey(VOTING[0], 24, agreed=24, cosigned_size=33)
    longer = ruins.survey(VOTING[1], 10, agreed=10, tail=20, uncommitted=20, log_end=(1, 50))
    choice = chosen(ruins, back, longer)
    assert (choice.best.site, choice.tree.size) == (VOTING[0], 24)


def test_a_disk_that_was_put_back_is_found_by_what_others_remember(ruins: Ruins) -> None:
    alone = ruins.survey(EMBASSY, 30, agreed=28)
    assert not chosen(ruins, alone).best.once_held
    other = ruins.survey(SECOND, 25, agreed=25, remembers=((EMBASSY, 36),))
    choice = chosen(ruins, alone, other)
    assert choice.best.site == EMBASSY
    assert any(f"{EMBASSY} once cosigned 36 records and has 30 now" in note for note in choice.notes)


def test_the_only_survivor_with_a_disk_put_back_is_taken_and_its_words_say_what_it_held(ruins: Ruins) -> None:
    choice = chosen(ruins, ruins.survey(EMBASSY, 20, agreed=20, cosigned_size=34))
    assert choice.tree.size == 20
    assert any("its disk was put back" in note for note in choice.notes)


def test_a_log_that_cannot_be_read_to_its_end_decides_nothing_by_its_term(ruins: Ruins) -> None:
    broken = replace(
        ruins.survey(VOTING[0], 20, agreed=20, tail=0), tail=LogTail(0, 0, 9, 900, "a segment is damaged")
    )
    whole = ruins.survey(VOTING[1], 20, agreed=20, tail=5, log_end=(3, 105))
    choice = chosen(ruins, broken, whole)
    assert choice.best.site == VOTING[1]
    assert any(
        "could not be read whole, and may hold more: a segment is damaged" in words
        for words in choice.alternatives
    )


# -- what is refused ----------------------------------------------------------------------------------------------------------


def test_nothing_surveyed_is_nothing_to_choose_from(ruins: Ruins) -> None:
    assert "collect first" in refused(Code.PLAN_NOT_FIT, ruins)


def test_two_surveys_of_one_site_are_not_weighed(ruins: Ruins) -> None:
    one = ruins.survey(EMBASSY, 30, agreed=28)
    assert "two surveys" in refused(Code.PLAN_NOT_FIT, ruins, one, replace(one, made_at_ms=1))


def test_two_quorums_with_two_roots_at_one_size_stop_everything(ruins: Ruins) -> None:
    false = ruins.ledger.checkpoint(28, sites=VOTING[1:], root=b"\x05" * 32)
    why = refused(Code.TWO_EPOCHS, ruins, ruins.survey(EMBASSY, 30, agreed=28), seen=(false,))
    assert "two histories" in why
    assert "size 28" in why


def test_two_ledgers_of_one_size_with_two_roots_stop_everything(ruins: Ruins) -> None:
    another = Tree(30, b"\x05" * 32, 30)
    other = replace(ruins.survey(SECOND, 30, agreed=28), tip=another, extended=another)
    assert SECOND in refused(Code.TWO_EPOCHS, ruins, ruins.survey(EMBASSY, 30, agreed=28), other)


def test_a_tree_called_agreed_that_too_few_cosigned_is_refused(ruins: Ruins) -> None:
    survey = ruins.survey(EMBASSY, 30, agreed=28)
    short = replace(survey, agreed_note=survey.agreed_note.rsplit(b"\n", 2)[0] + b"\n")
    assert "too few sites" in refused(Code.PLAN_NOT_FIT, ruins, short)


def test_a_survey_altered_by_one_number_is_refused_by_its_signature(ruins: Ruins) -> None:
    file = ruins.file(ruins.survey(EMBASSY, 30, agreed=28))
    with pytest.raises(SentoError) as caught:
        judge_survey(altered(file, {"cosigned_size": 0}), governance(ruins))
    assert caught.value.code is Code.BAD_SIGNATURE


def test_a_survey_of_another_ledger_is_refused(ruins: Ruins) -> None:
    file = ruins.file(ruins.survey(EMBASSY, 30, ledger_id=b"\1" * 32))
    with pytest.raises(SentoError) as caught:
        judge_survey(file, governance(ruins))
    assert caught.value.code is Code.WRONG_LEDGER


def test_a_survey_signed_by_another_site_is_refused(ruins: Ruins) -> None:
    mine = ruins.file(ruins.survey(EMBASSY, 30))
    other = ruins.file(ruins.survey(SECOND, 30))
    with pytest.raises(SentoError) as caught:
        judge_survey(
            SurveyFile(True, other.data.replace(SECOND.encode(), EMBASSY.encode(), 1)), governance(ruins)
        )
    assert caught.value.code is Code.MALFORMED
    assert mine != other


def test_a_survey_that_nobody_signed_counts_and_is_said(ruins: Ruins) -> None:
    copy = judge_survey(
        ruins.file(ruins.survey(EMBASSY, 30), answered=False, signed=False), governance(ruins)
    )
    assert not copy.signed
    choice = choose([copy], (), governance(ruins))
    assert any("Nobody signed the survey" in note for note in choice.notes)


# -- a majority that answers ------------------------------------------------------------------------------------------------


def test_a_site_that_reaches_a_majority_speaks_against_a_recovery(ruins: Ruins) -> None:
    found = witnesses(ruins, ruins.survey(EMBASSY, 30, has_majority=True))
    assert "reached a majority" in majority_answers(found, governance(ruins))


def test_two_of_three_voters_that_answer_here_are_a_majority_though_they_do_not_hear_each_other(
    ruins: Ruins,
) -> None:
    surveys = [ruins.survey(site, 20, tail=0) for site in VOTING[:2]]
    assert "2 of 3 voting sites" in majority_answers(witnesses(ruins, *surveys), governance(ruins))


def test_disks_of_stopped_sites_do_not_answer(ruins: Ruins) -> None:
    surveys = [ruins.survey(site, 20, tail=0, has_majority=True) for site in VOTING]
    assert not majority_answers(witnesses(ruins, *surveys, answered=False), governance(ruins))
