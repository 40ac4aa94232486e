"""How full budgets are, and why an act does not stand in words: decided from a governance and a window of the ledger alone."""

from __future__ import annotations

from genesis_builder import OFFICERS, TestWorld, build_genesis
from sento_client.governing.proposal import act_content
from sento_node.ledger.governing import BudgetUse, act_refusal_words, budget_use
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.state import StandingBrief
from sento_proto.errors import Code
from sento_proto.governance.acts import act_header
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.header import ZERO32
from sento_proto.record import make_record
from sento_proto.submission import Submission, decode_submission, sign_act

AUTHOR = "iizuka-city"


def used(governance: Governance, *records: tuple[int, bytes], size: int) -> BudgetUse:
    window = [StandingBrief(position, AUTHOR, subject) for position, subject in records]
    return budget_use(governance, window, size)[AUTHOR]


def test_budget_is_full_from_the_record_on_that_used_it_up() -> None:
    governance = from_genesis(build_genesis(budget=(3, 2)).genesis)
    assert used(governance, (0, b"a"), size=1) == (1, 1, NOWHERE)
    assert used(governance, (0, b"a"), (4, b"a"), (6, b"a"), size=7) == (3, 1, 6)
    assert used(governance, (0, b"a"), (4, b"b"), (6, b"a"), size=7) == (3, 2, 4)


def test_only_the_running_window_counts() -> None:
    governance = from_genesis(build_genesis(budget=(3, 2)).genesis)
    assert used(governance, (9_999, b"a"), (10_000, b"b"), size=10_001) == (1, 1, NOWHERE)
    assert used(governance, (9_999, b"a"), size=10_000) == (0, 0, NOWHERE)


def act_of(world: TestWorld, *officers: str, previous: bytes = ZERO32, epoch: int = 0) -> Submission:
    content = act_content("test", [{"do": "retire-officer", "name": "nobody"}])
    header = act_header(world.numbers.record_id(), world.numbers.next_time_ms(), content, previous)
    signers = [world.officer_signers[name] for name in officers]
    return decode_submission(sign_act(world.ledger_id, epoch, make_record(header, b""), signers))


def test_refusals_of_acts_are_said_in_words_as_of_now() -> None:
    world = build_genesis(rules=2)
    governance = from_genesis(world.genesis)

    def words(act: Submission, code: Code) -> str:
        return act_refusal_words(governance, 0, act, code, 40)

    unfit = words(act_of(world, *OFFICERS[:2]), Code.ACT_REFUSED)
    assert unfit.startswith("As of now, at position 40: ")
    assert "nobody is not an officer" in unfit
    few = words(act_of(world, OFFICERS[0]), Code.TOO_FEW_OFFICERS)
    assert "1 officers signed and 2 are needed" in few
    stale = words(act_of(world, *OFFICERS[:2], previous=b"x" * 32), Code.STALE)
    assert "there is no act yet" in stale
    epoch = words(act_of(world, *OFFICERS[:2], epoch=3), Code.WRONG_LEDGER)
    assert "signed for epoch 3 and the ledger is in epoch 0" in epoch
    foreign = words(act_of(build_genesis(rules=2, name="other"), *OFFICERS[:2]), Code.WRONG_LEDGER)
    assert "names another ledger" in foreign
