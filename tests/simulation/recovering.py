"""Recovery in a simulated world: survivors are surveyed, the best state is chosen, officers sign a plan, and each site of it is asked to begin the epoch.

The survey is the real one (`sento_proto.survey`), made from a survivor's disk and its ordering log as it stands. What is chosen is product code
(`recovering/choosing.py`), and so are the plan and its judgement; `check_kept` looks at every survivor's disk and log a second time, with the committed
order at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.simulation.epochs_host import Epoch, replayed
from tests.simulation.moving_site import MovingSite, extended
from tests.simulation.people import OFFICERS, officer_signer

from sento_client.recovering import choosing
from sento_client.recovering.survey_files import Witness
from sento_node.compose import recall_cosigned, root_at
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.replay import governance_of
from sento_node.ordering.port import OrderedBlock
from sento_proto.act_chain import act_content
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.epoch_plan import RECOVER, EpochPlan, check_plan, decode_plan, encode_plan, signed_plan
from sento_proto.governance.epoch_changes import Parent
from sento_proto.governance.parts import ReceiptSet
from sento_proto.governance.state import Governance
from sento_proto.survey import LogTail, Survey, Tree, decode_survey, encode_survey

THRESHOLD = 3


class Surveyed(NamedTuple):
    """What a survivor says, and the ledger that its words are about."""

    host: MovingSite
    survey: Survey
    disk: MemoryDisk
    governance: Governance


def survey(host: MovingSite, now_ms: int) -> Surveyed:
    """What one survivor holds."""
    genesis, store = host.around.genesis, MemoryStore(host.disk.store.snapshot())
    disk = extended(host, genesis)
    longer = MemoryStore(disk)
    governance = governance_of(genesis, longer)
    ordering = host.epoch.ordering
    member = ordering.members.get(host.name)
    agreed = agreed_of(store, governance_of(genesis, store))
    cosigned = recall_cosigned(store)
    tail = None
    if member is not None and member.has_files and store.tip.epoch >= host.epoch.number:
        beyond = len(replayed(member.log, ordering.base)) - (store.tip.block - ordering.base)
        term, index = member.recency
        tail = LogTail(max(0, beyond), len(member.log) - member.visible, term, index, "")
    said = Survey(
        ledger_id=genesis.ledger_id,
        site=host.name,
        epoch=store.tip.epoch,
        made_at_ms=now_ms,
        tip=_tree(store),
        extended=_tree(longer),
        agreed=None if agreed is None else Tree(agreed[0].size, agreed[0].root, agreed[0].block),
        agreed_note=b"" if agreed is None else agreed[1],
        agreed_at_s=0,
        last_record_ms=0,
        last_act=governance.last_act,
        cosigned_size=0 if cosigned is None else cosigned.size,
        tail=tail,
    )
    return Surveyed(host, decode_survey(encode_survey(said)), disk, governance)


def _tree(store: MemoryStore) -> Tree:
    return Tree(store.tip.size, root_at(store, store.tip.size), store.tip.block)


def agreed_of(store: MemoryStore, governance: Governance) -> tuple[Parent, bytes] | None:
    """The largest tree on this disk that a quorum cosigned, with the note under it."""
    for kept in store.newest_checkpoints(1_000):
        note = decode_checkpoint(kept.note)
        wanted = governance.receipt_quorum_at(kept.size)
        if len(cosigners(note, wanted.keys)) >= wanted.quorum and kept.size:
            return Parent(note.epoch, note.size, note.root, kept.block), kept.note
    return None


def choose(surveys: Sequence[Surveyed]) -> Surveyed:
    """The best state by product code. Raises SentoError where there is none, or two histories speak."""
    furthest = max(surveys, key=lambda one: (one.governance.epoch, one.survey.extended.size))
    witnesses = [Witness(one.survey, signed=True, answered=True) for one in surveys]
    site = choosing.choose(witnesses, (), furthest.governance).best.site
    site = surveys[0].host.around.hooks.chosen(site, [one.host.name for one in surveys])
    return next(one for one in surveys if one.host.name == site)


def history_of(chosen: Surveyed) -> list[OrderedBlock]:
    """The blocks of the chosen state, from the ledger's first one."""
    epoch = chosen.host.epoch
    block, base = chosen.disk.tip.block, epoch.ordering.base
    order = epoch.checkers.order
    if chosen.survey.tail is None or (len(order) >= block and chosen.survey.tip.block == block):
        return order[:block]
    own = replayed(epoch.ordering.members[chosen.host.name].log, base)
    return [*order[:base], *own][:block]


class Asked(NamedTuple):
    """What officers decide of a plan. `acts`: changes of acts behind the one that begins the epoch."""

    number: int
    voting: tuple[str, ...]
    acts: tuple[tuple[dict[str, object], ...], ...]
    made_at_ms: int


def make_plan(
    chosen: Surveyed, surveys: Sequence[Surveyed], asked: Asked, signers: Sequence[str]
) -> EpochPlan:
    """The plan, signed, as it is in its file. Raises PlanRefused."""
    genesis = chosen.host.around.genesis
    store = MemoryStore(chosen.disk)
    governance = governance_of(genesis, store)
    tip = store.tip
    found = [agreed_of(MemoryStore(each.disk), governance) for each in surveys]
    agreed = [one[0] for one in found if one is not None]
    agreed = [one for one in agreed if one.size <= tip.size and root_at(store, one.size) == one.root]
    plan = EpochPlan(
        ledger_id=genesis.ledger_id,
        reason=RECOVER,
        epoch=asked.number,
        parent=Parent(governance.epoch, tip.size, root_at(store, tip.size), tip.block),
        last_act=governance.last_act,
        voting=asked.voting,
        receipt_set=ReceiptSet(asked.voting, len(asked.voting) // 2 + 1),
        readmit=(),
        legal_basis="The majority is gone.",
        as_of_ms=asked.made_at_ms,
        made_at_ms=asked.made_at_ms,
        words=("Both sides may acknowledge until they meet.",),
        agreed=max(agreed, default=None, key=lambda one: one.size),
        alone=False,
        evidence=("Nobody answered.",),
        acts=tuple(act_content("It was decided.", list(changes)) for changes in asked.acts),
    )
    for name in signers:
        plan = signed_plan(plan, officer_signer(name))
    check_plan(plan, governance)
    return decode_plan(encode_plan(plan))


def quorum_of_officers(first: int) -> tuple[str, ...]:
    """As many officers as a plan needs, beginning with the one of this number."""
    return tuple(OFFICERS[(first + at) % len(OFFICERS)] for at in range(THRESHOLD))


def check_kept(chosen: Surveyed, surveys: Sequence[Surveyed], after: Epoch) -> str:
    """In words, what an epoch throws away that a survivor holds of what was committed; "" when it is nothing. A second opinion, from the committed order."""
    before = chosen.host.epoch.checkers
    for one in surveys:
        if one.host.epoch is not chosen.host.epoch:
            continue
        log = one.host.epoch.ordering.members.get(one.host.name)
        blocks = one.host.disk.store.tip.block
        whole = one.survey.epoch >= one.host.epoch.number
        one.host.heap.faults["survivor's log whose beginning its ledger lacks"] += not whole
        if log is not None and whole:
            held = replayed(log.log, one.host.epoch.ordering.base)
            same = 0
            for mine, stands in zip(held, before.order[one.host.epoch.ordering.base :], strict=False):
                if (mine.lane, mine.seq, mine.data) != (stands.lane, stands.seq, stands.data):
                    break
                same += 1
            blocks = max(blocks, one.host.epoch.ordering.base + same)
        kept = before.reference.blocks[blocks - 1] if blocks else None
        size = 0 if kept is None else kept.size_after
        roots = after.checkers.reference.roots
        if after.checkers.fork_size < size or roots[size] != before.reference.roots[size]:
            return f"{one.host.name} holds {size} records and epoch {after.name} begins with {after.checkers.fork_size}"
    return ""
