"""Which state a recovered epoch goes on from: of everything that survives, the best that can be shown to hold what was acknowledged.

    1  the highest epoch that a survivor stands in
    2  in it, what a receipt quorum cosigned and what any survivor knows to be committed must be held
    3  of those that hold it, the one whose ordering log goes furthest: of two logs of voting members the one with the higher (last term, last index) holds
       everything that was acknowledged (raft, section 5.4.1); a site without a log of its own counts by its ledger

What an uncommitted end of a log brings is kept: nobody can tell whether it was acknowledged, and nothing of it may be thrown away. Two roots of one size are
two histories; then nothing is chosen, and officers decide. Every other survivor is said in words, with what choosing it would mean. Pure.

Source: the project's design, section 8; D. Ongaro, J. Ousterhout, In Search of an Understandable Consensus Algorithm (2014), section 5.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from sento_client.recovering.survey_files import Witness
from sento_proto.checkpoint import Checkpoint, cosigners, decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.epoch_changes import Parent
from sento_proto.governance.state import Governance
from sento_proto.survey import Survey, Tree
from sento_proto.wire import Malformed


class Weighed(NamedTuple):
    """A survivor on the scales. `once_held`: up to where it cosigned, where that is more than it has now: its disk was put back; 0 otherwise. `waits`: it began
    an epoch whose first act never stood, so that its log is of that epoch and not comparable."""

    witness: Witness
    once_held: int
    waits: bool = False

    @property
    def survey(self) -> Survey:
        """What it says."""
        return self.witness.survey

    @property
    def site(self) -> str:
        """Who says it."""
        return self.witness.site

    @property
    def sure_block(self) -> int:
        """The last block that this site knows to be committed."""
        tail = None if self.waits else self.survey.tail
        return self.survey.tip.block + (0 if tail is None else max(0, tail.blocks - tail.uncommitted))

    @property
    def log_end(self) -> tuple[int, int]:
        """(last term, last index) of its log; (0, 0) without one, and with one that could not be read to its end."""
        tail = None if self.waits else self.survey.tail
        return (0, 0) if tail is None or tail.trouble else (tail.last_term, tail.last_index)


class Choice(NamedTuple):
    """The state to go on from, held by `best`. `agreed`: the largest tree at or below it that a quorum cosigned and whose block is known; `quorum_size`: the
    largest size that a quorum is known to have cosigned, survived or not; `alternatives`: the other survivors, each in a sentence; `notes`: what officers must
    know of the best one."""

    best: Weighed
    agreed: Parent | None
    quorum_size: int
    survivors: tuple[Weighed, ...]
    alternatives: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def tree(self) -> Tree:
        """What the new epoch goes on from."""
        return self.best.survey.extended


def choose(
    witnesses: Sequence[Witness], seen: Iterable[Checkpoint], governance: Governance, take: str | None = None
) -> Choice:
    """The best state. `seen`: checkpoints from receipt stores; `take`: the site that officers choose against the rule. Raises SentoError PLAN_NOT_FIT where
    nothing can be chosen, TWO_EPOCHS where two histories speak."""
    if not witnesses:
        raise _unfit("no surviving site was surveyed: collect first, or bring surveys with --survey")
    _check_once(witnesses)
    _check_followed(witnesses, governance)
    epoch = max(stands_in(one.survey, governance) for one in witnesses)
    agreed = [_agreed_of(one, governance) for one in witnesses if one.survey.agreed is not None]
    counted = [note for note in seen if _is_quorums(note, governance)]
    _check_one_history(witnesses, agreed, counted)
    survivors = [
        _weigh(one, witnesses)._replace(waits=one.survey.epoch > epoch)
        for one in witnesses
        if stands_in(one.survey, governance) == epoch
    ]
    best = _taken(survivors, take) if take else _best(survivors)
    tree = best.survey.extended
    # What officers take against the rule need not hold, in the end of its log, what a quorum cosigned elsewhere.
    reach = best.survey.tip.size if take else tree.size
    below = [one for one in agreed if one.size <= reach]
    sizes = [one.size for one in agreed] + [note.size for note in counted if note.epoch == epoch]
    return Choice(
        best,
        max(below, key=lambda one: (one.epoch, one.size), default=None),
        max(sizes, default=0),
        tuple(survivors),
        (*_alternatives(best, survivors), *_left_behind(witnesses, epoch)),
        tuple(_notes(best, take)),
    )


def stands_in(survey: Survey, governance: Governance) -> int:
    """The epoch of the survivor's last records: one that began a later epoch and waits for the act behind its fork, the same act being its newest that is the
    newest known, is in the former one still. A recovery that failed on the way must not be what stops the next one."""
    waits = survey.epoch > governance.epoch and survey.last_act == governance.last_act
    return governance.epoch if waits else survey.epoch


def _check_once(witnesses: Sequence[Witness]) -> None:
    """Raises SentoError where one site speaks twice."""
    names = sorted(one.site for one in witnesses)
    twice = next((name for name, after in pairwise(names) if name == after), None)
    if twice is not None:
        raise _unfit(f"there are two surveys of {twice}: leave the older one out")


def _check_followed(witnesses: Sequence[Witness], governance: Governance) -> None:
    """Raises SentoError where a survivor stands in an epoch that no officers' act known here began: its word alone would put all others aside."""
    ahead = next((one for one in witnesses if stands_in(one.survey, governance) > governance.epoch), None)
    if ahead is not None:
        raise _unfit(
            f"{ahead.site} says that it stands in epoch {ahead.survey.epoch}, and the officers' acts known here end in epoch {governance.epoch}: "
            "collect with a trust file that followed it (--trust), or leave its survey out"
        )


# -- what a quorum said -------------------------------------------------------------------------------------------------


def _agreed_of(witness: Witness, governance: Governance) -> Parent:
    """The tree that the survey says a quorum cosigned. Raises SentoError unless the note under it shows that."""
    survey = witness.survey
    tree = survey.agreed
    assert tree is not None
    try:
        note = decode_checkpoint(survey.agreed_note)
    except Malformed as error:
        raise _unshown(witness, str(error)) from None
    if (note.ledger_id, note.size, note.root) != (governance.ledger_id, tree.size, tree.root):
        raise _unshown(witness, "the note is of another tree")
    if not _is_quorums(note, governance):
        raise _unshown(witness, "too few sites of the receipt set cosigned it")
    return Parent(note.epoch, tree.size, tree.root, tree.block)


def _unshown(witness: Witness, why: str) -> SentoError:
    return _unfit(
        f"the tree that {witness.site} calls agreed is not shown to be: {why}. Leave its survey out, or bring the trust file of an office that followed further"
    )


def _is_quorums(note: Checkpoint, governance: Governance) -> bool:
    """Whether a quorum of the receipt set of its time cosigned it."""
    if note.ledger_id != governance.ledger_id:
        return False
    lost = governance.lost_with(note.epoch, note.size)
    wanted = governance.receipt_quorum_at(note.size if lost is None else lost.fork_size)
    return len(cosigners(note, wanted.keys)) >= wanted.quorum


def _check_one_history(
    witnesses: Sequence[Witness], agreed: Sequence[Parent], seen: Sequence[Checkpoint]
) -> None:
    """Raises SentoError TWO_EPOCHS: two roots at one size. Ends of logs that nobody knows to be committed may differ, and are not compared."""
    roots: dict[tuple[int, int], tuple[bytes, str]] = {}
    said = [(one.epoch, one.size, one.root, "a quorum's checkpoint") for one in agreed]
    said += [(one.epoch, one.size, one.root, "a receipt's checkpoint") for one in seen]
    said += [(one.survey.epoch, *one.survey.tip[:2], f"the ledger of {one.site}") for one in witnesses]
    for epoch, size, root, who in said:
        other, first = roots.setdefault((epoch, size), (root, who))
        if other != root:
            raise SentoError(
                Code.TWO_EPOCHS,
                f"two histories: {first} and {who} have different roots at size {size} of epoch {epoch}. Nothing is chosen; show both to the officers",
            )


# -- the choice ---------------------------------------------------------------------------------------------------------


def _weigh(witness: Witness, witnesses: Iterable[Witness]) -> Weighed:
    survey = witness.survey
    remembered = [size for one in witnesses for site, size in one.survey.remembers if site == survey.site]
    once = max([survey.cosigned_size, *remembered])
    return Weighed(witness, once if once > survey.extended.size else 0)


def _taken(survivors: Sequence[Weighed], take: str) -> Weighed:
    found = next((one for one in survivors if one.site == take), None)
    if found is None:
        raise _unfit(
            f"{take} is no survivor of the highest epoch: {', '.join(one.site for one in survivors)} are"
        )
    return found


def _best(survivors: Sequence[Weighed]) -> Weighed:
    """A disk that was put back is not taken where another one holds as much; of the rest by what is known to be committed, then by the logs' ends."""
    standing = [one for one in survivors if not one.once_held or not _outdone(one, survivors)]
    committed = max(one.sure_block for one in standing)
    furthest = max(standing, key=lambda one: (one.log_end, one.survey.extended.size))
    in_logs = [one.sure_block for one in standing if one.log_end > (0, 0)]
    if in_logs and max(in_logs) >= committed:
        return furthest
    # An embassy holds more committed blocks than any surviving log is known to: a longer end of a log need not contain them.
    holders = [one for one in standing if one.sure_block >= committed]
    return max(holders, key=lambda one: (one.log_end, one.survey.extended.size, one.witness.signed, one.site))


def _outdone(one: Weighed, survivors: Sequence[Weighed]) -> bool:
    """Whether a disk that was not put back holds as much, and is known to hold as much that was committed."""
    return any(
        other.survey.extended.size >= one.survey.extended.size and other.sure_block >= one.sure_block
        for other in survivors
        if not other.once_held
    )


def majority_answers(witnesses: Sequence[Witness], governance: Governance) -> str:
    """Why the registry is not to be recovered: who answers; empty where no majority does."""
    epoch = max((one.survey.epoch for one in witnesses), default=0)
    answered = [one for one in witnesses if one.answered and one.survey.epoch == epoch]
    if reaching := [one.site for one in answered if one.survey.has_majority]:
        return f"{', '.join(reaching)} reached a majority of the voting sites when asked"
    voting = governance.voting_sites
    heard = [one.site for one in answered if one.site in voting]
    if 2 * len(heard) > len(voting):
        return (
            f"{len(heard)} of {len(voting)} voting sites answer this computer ({', '.join(heard)}), and that is a majority: "
            "mend what is between them"
        )
    return ""


# -- in words -----------------------------------------------------------------------------------------------------------


def _alternatives(best: Weighed, survivors: Sequence[Weighed]) -> list[str]:
    mine = best.survey.extended
    words: list[str] = []
    for one in sorted(survivors, key=lambda other: (-other.survey.extended.size, other.site)):
        if one is best:
            continue
        tree = one.survey.extended
        if (tree.size, tree.root) == (mine.size, mine.root):
            words.append(f"{one.site} holds the same {tree.size} records.")
        elif tree.size > mine.size:
            words.append(
                f"{one.site} holds {tree.size} records, {tree.size - mine.size} more; the end of its log is not known to be committed and need not go on from "
                "what is taken. Those records stay in its old data directory."
            )
        elif tree.size == mine.size:
            words.append(
                f"{one.site} holds as many records with another end; its log ends at term {one.log_end[0]}, index {one.log_end[1]}, the one taken at term "
                f"{best.log_end[0]}, index {best.log_end[1]}, which holds everything that was acknowledged."
            )
        else:
            words.append(f"{one.site} holds {tree.size} records, {mine.size - tree.size} fewer.")
        words += _rolled_back(one) + _trouble(one)
    return words


def _left_behind(witnesses: Iterable[Witness], epoch: int) -> list[str]:
    return [
        f"{one.site} stands in epoch {one.survey.epoch}, which ended: its {one.survey.extended.size} records are not asked."
        for one in witnesses
        if one.survey.epoch < epoch
    ]


def _notes(best: Weighed, take: str | None) -> list[str]:
    notes = _rolled_back(best) + _trouble(best)
    tail = best.survey.tail
    if not best.witness.signed:
        notes.append(
            f"Nobody signed the survey of {best.site}: it was made on a copy, without the site's key."
        )
    if tail is not None and tail.uncommitted:
        notes.append(
            f"{tail.uncommitted} of the blocks at the end come from the log of {best.site} and were not known to be committed: they may hold records that "
            "nobody was told of, and none that was acknowledged is thrown away."
        )
    if best.survey.payloads_awaited:
        notes.append(
            f"{best.site} misses the payloads of {best.survey.payloads_awaited} records: they are named, and cannot be read."
        )
    if take:
        notes.append(f"The state of {take} was chosen by the officers against the rule.")
    return notes


def _rolled_back(one: Weighed) -> list[str]:
    if not one.once_held:
        return []
    return [
        f"{one.site} once cosigned {one.once_held} records and has {one.survey.extended.size} now: its disk was put back, and what stood behind is not on it."
    ]


def _trouble(one: Weighed) -> list[str]:
    tail = one.survey.tail
    if tail is None or not tail.trouble:
        return []
    return [f"The ordering log of {one.site} could not be read whole, and may hold more: {tail.trouble}."]


def _unfit(why: str) -> SentoError:
    return SentoError(Code.PLAN_NOT_FIT, why)
