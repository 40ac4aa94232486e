"""What sites say about a subject's newest record, weighed: is there a receipt quorum for one word, and who said another.

 1. A statement counts only if it is the asked site's own, signed with all that the site's present keys demand, about the registry, subject, epoch and size that
    were asked for. Anything else is an answer that does not verify.
 2. One about another root than the checkpoint's is kept as evidence and counted for nothing.
 3. Only sites of the receipt set in force at that size count. A word is confirmed when a quorum of them says exactly the same: last position, or none, and
    link.
 4. Two quorums cannot say two words: a quorum is more than half.

Pure: answers in, verdict out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sento_proto.checkpoint import Checkpoint, SiteKeys
from sento_proto.governance.site_keys import ReceiptQuorum
from sento_proto.head_statement import Head, HeadStatement, decode_statement, statement_holds
from sento_proto.wire import Malformed


class AskedHead(NamedTuple):
    """What sites are asked to sign: this subject's last record in this checkpoint's tree."""

    checkpoint: Checkpoint
    registry: str
    subject: bytes


class Unusable(ValueError):
    """An answer that is no statement of that site about what was asked; the text says why."""


def read_statement(data: bytes, site: str, asked: AskedHead, keys: Mapping[str, SiteKeys]) -> HeadStatement:
    """The site's statement in an answer, by rule 1. Raises Unusable."""
    try:
        statement = decode_statement(data)
    except Malformed as error:
        raise Unusable(str(error)) from None
    checkpoint, own = asked.checkpoint, keys.get(site)
    wanted = (
        checkpoint.ledger_id,
        checkpoint.epoch,
        checkpoint.size,
        statement.root,
        asked.registry,
        asked.subject,
    )
    if statement.about != wanted:
        raise Unusable("the head statement is about something else than was asked for")
    if statement.site != site or own is None or not statement_holds(statement, own):
        raise Unusable("the head statement is not signed by this site with all that its keys demand")
    return statement


class Weighed(NamedTuple):
    """`head`: the confirmed word, None without a quorum for one. `agreeing`: who says it; `dissenting`: who signed another word about the same tree; `foreign`:
    who signed one about another tree; `unanswered`: the receipt set's sites that said nothing usable, each with why."""

    head: Head | None
    agreeing: tuple[HeadStatement, ...]
    dissenting: tuple[HeadStatement, ...]
    foreign: tuple[HeadStatement, ...]
    unanswered: Mapping[str, str]
    needed: int

    @property
    def statements(self) -> tuple[HeadStatement, ...]:
        """All words about the checkpoint's tree."""
        return self.agreeing + self.dissenting

    @property
    def words(self) -> str:
        """Why nothing is confirmed, or by whom it is."""
        parts = [f"{self.needed} sites must say the same"]
        for statement in (*self.statements, *self.foreign):
            last = statement.head.last_position
            said = "no record" if last is None else f"position {last}"
            other = " of another tree" if statement in self.foreign else ""
            parts.append(f"{statement.site} says {said}{other}")
        parts += [f"{site}: {why}" for site, why in self.unanswered.items()]
        return "; ".join(parts)


def weigh(
    asked: AskedHead,
    receipt: ReceiptQuorum,
    statements: Sequence[HeadStatement],
    unanswered: Mapping[str, str],
) -> Weighed:
    """The verdict over statements that `read_statement` took, at most one a site."""
    here = [one for one in statements if one.root == asked.checkpoint.root and one.site in receipt.keys]
    foreign = tuple(one for one in statements if one.root != asked.checkpoint.root)
    by_head: dict[Head, list[HeadStatement]] = {}
    for statement in here:
        by_head.setdefault(statement.head, []).append(statement)
    confirmed = next((head for head, said in by_head.items() if len(said) >= receipt.quorum), None)
    agreeing = () if confirmed is None else tuple(by_head[confirmed])
    dissenting = tuple(one for one in here if one not in agreeing)
    return Weighed(confirmed, agreeing, dissenting, foreign, unanswered, receipt.quorum)
