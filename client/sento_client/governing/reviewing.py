"""A proposal judged by the governance that is in force: whether it fits, what it does in words, who signed and who has to.

The dry run. Every officer computes it from the own view of the ledger before signing, so that nobody signs on somebody else's word; sites decide by the same
code.

Pure. A refusal is a SentoError with the code that the sites would give.
"""

from __future__ import annotations

from typing import NamedTuple

from sento_client.governing.following import Followed
from sento_client.governing.proposal import Proposal
from sento_client.governing.words import change_words
from sento_proto.errors import Code, SentoError
from sento_proto.governance.acts import act_signatures_refusal, effect_of
from sento_proto.governance.changing import Unfit
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed


class Review(NamedTuple):
    """What a proposal comes to. `at`: the position that it would stand at next; `waiting`: offices that have not signed."""

    at: int
    reason: str
    words: tuple[str, ...]
    signed: tuple[str, ...]
    waiting: tuple[str, ...]
    needed: int
    after: Governance

    @property
    def is_enough(self) -> bool:
        """Whether it may be submitted."""
        return len(self.signed) >= self.needed

    @property
    def signatures_words(self) -> str:
        """How many are still missing, and whose could come."""
        have = (
            f"needs {self.needed} of {len(self.signed) + len(self.waiting)} officers, has {len(self.signed)}"
        )
        signed = f" ({', '.join(self.signed)})" if self.signed else ""
        if self.is_enough:
            return f"{have}{signed}: it can be submitted."
        missing = self.needed - len(self.signed)
        some = "one" if missing == 1 else str(missing)
        return f"{have}{signed}: missing {some} of {', '.join(self.waiting)}, or their deputies."


def review(followed: Followed, epoch: int, size: int, proposal: Proposal) -> Review:
    """The dry run. `epoch` and `size`: the ledger's now. Raises SentoError WRONG_LEDGER, STALE, ACT_REFUSED, NOT_AN_OFFICER, BAD_SIGNATURE."""
    governance = followed.governance
    if proposal.ledger_id != governance.ledger_id:
        raise SentoError(
            Code.WRONG_LEDGER,
            f"the proposal is for ledger {proposal.ledger_id.hex()[:16]}, and this is {governance.ledger_id.hex()[:16]}",
        )
    if proposal.epoch != epoch:
        raise SentoError(
            Code.WRONG_LEDGER,
            f"the proposal is for epoch {proposal.epoch}, and the ledger is in epoch {epoch}",
        )
    if proposal.previous != governance.last_act:
        raise SentoError(Code.STALE, _meanwhile(followed, proposal.previous))
    at = max(size, followed.position + 1)
    try:
        act = proposal.act
        words = change_words(governance, act, at)
        after = effect_of(governance, act, at)
    except (Unfit, Malformed) as error:
        raise SentoError(Code.ACT_REFUSED, str(error)) from None
    signed = signed_offices(governance, proposal)
    waiting = tuple(name for name in governance.officers.people if name not in signed)
    return Review(at, act.reason, words, signed, waiting, governance.officers.threshold, after)


def signed_offices(governance: Governance, proposal: Proposal) -> tuple[str, ...]:
    """The offices that signed, each once. Raises SentoError NOT_AN_OFFICER, BAD_SIGNATURE."""
    refusal = act_signatures_refusal(
        governance, proposal.epoch, proposal.record.record_hash, proposal.officers
    )
    if refusal is not None:
        raise SentoError(refusal, "one of the signatures in the file; propose the act anew")
    offices = [governance.office_of_key(key_id) for key_id, _ in proposal.officers]
    if None in offices:
        raise SentoError(Code.NOT_AN_OFFICER, "one who signed is in office no more; propose the act anew")
    return tuple(dict.fromkeys(office for office in offices if office is not None))


def _meanwhile(followed: Followed, previous: bytes) -> str:
    """Who changed what since the proposal was made."""
    hashes = [step.stored.record_hash if step.act is not None else b"" for step in followed.steps]
    start = hashes.index(previous) + 1 if previous in hashes else 0
    since = [
        f"position {step.position}, {', '.join(step.signed_by)}: {' '.join(step.words)}"
        for step in followed.steps[start:]
        if step.act is not None
    ]
    return "other acts came first, so propose it anew; " + (
        "; ".join(since) or "the proposal follows an act that is not known here"
    )
