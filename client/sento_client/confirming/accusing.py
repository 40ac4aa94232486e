"""From words that differ to proofs against who told the false one.

What differs says that somebody lies, not who. A record that stands under the checkpoint's root does: about the subject, behind somebody's last one, it convicts
him of leaving it out; about another subject, at somebody's last position, of inventing it. Where the records cannot be had, as those of a compartment that this
institution may not see, a quorum of other sites convicts. A word about another tree convicts a site that also cosigned this one.

Pure. Each proof is tried on everybody and made only where it proves (`sento_proto.fraud_building`): nothing here decides who is guilty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import sento_proto.fraud_building as build
from sento_client.confirming.judging import Weighed
from sento_proto.checkpoint import Checkpoint
from sento_proto.fraud import KnownSites, NotProven, ProvenRecord
from sento_proto.head_statement import HeadStatement


class Evidence(NamedTuple):
    """A record under the checkpoint's root, with its path."""

    record: ProvenRecord
    path: tuple[bytes, ...]


def positions_to_look_at(weighed: Weighed) -> tuple[int, ...]:
    """Where the records stand that tell truth from lie: every last position that somebody named. None where all agree."""
    if not weighed.dissenting:
        return ()
    named = {statement.head.last_position for statement in weighed.statements}
    return tuple(sorted(position for position in named if position is not None))


def accusations(
    known: KnownSites, weighed: Weighed, checkpoint: Checkpoint, evidence: Sequence[Evidence]
) -> dict[str, bytes]:
    """A proof of fraud for each site that can be convicted, by its name: the strongest that there is."""
    found: dict[str, bytes] = {}
    for statement in (*weighed.statements, *weighed.foreign):
        for attempt in _attempts(known, weighed, statement, checkpoint, evidence):
            try:
                found[statement.site] = attempt()
            except NotProven:
                continue
            break
    return found


def _attempts(
    known: KnownSites,
    weighed: Weighed,
    statement: HeadStatement,
    checkpoint: Checkpoint,
    evidence: Sequence[Evidence],
) -> Iterator[Callable[[], bytes]]:
    """Strongest first: what the site's own signature and hashes show, before what a quorum says."""
    for one in evidence:
        yield partial(build.head_omits, known, statement, one.record, one.path)
        yield partial(build.head_invents, known, statement, one.record, one.path)
    yield partial(build.head_root, known, statement, checkpoint)
    yield partial(build.head_against_quorum, known, statement, weighed.agreeing)
