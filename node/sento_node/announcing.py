"""A site's own word in the ledger: which rules its release knows, announced by itself whenever the ledger does not say so yet.

Pure: state in, a submission out. The shell (`keep_announced`, below the line) asks every second and hands the submission to the site's own ingress, where it is
ordered like any other; officers raise the rules number once every site of the receipt set has spoken.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Protocol

import structlog

from sento_node.clock import Clock
from sento_node.ledger.state import LedgerState
from sento_node.site import Reply
from sento_proto.errors import STANDING_CODES, SentoError
from sento_proto.governance.acts import REGISTRY
from sento_proto.governance.site_rules import SiteRules, site_rules_header, subject_of_site
from sento_proto.header import ZERO32
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.keys import Signer
from sento_proto.record import make_record
from sento_proto.rules import RULES
from sento_proto.submission import sign_submission

LOOK_EVERY_MS = 1_000
AGAIN_MS = 10_000


def announcement_due(state: LedgerState, site: str) -> bool:
    """Whether the ledger does not say yet what this release knows. Under rules without officers nobody asks."""
    governance = state.governance
    rules = RULES.get(governance.rules)
    if rules is None or not rules.acts or site not in governance.sites:
        return False
    return governance.site_rules.get(site) != frozenset(RULES)


def announcement(
    state: LedgerState, site: str, signer: Signer, release: str, record_id: bytes, time_ms: int
) -> bytes:
    """The submission that says it, behind the site's last one."""
    head = state.fact_head(REGISTRY, subject_of_site(site)[:16])
    said = SiteRules(site, tuple(sorted(RULES)), release)
    previous = ZERO32 if head is None else head.record_hash
    header = site_rules_header(record_id, signer.public_key.key_id, time_ms, said, previous)
    return sign_submission(state.governance.ledger_id, [make_record(header, b"")], signer)


def key_is_replaced(state: LedgerState, site: str, signer: Signer) -> bool:
    """Whether officers gave the site another key, or retired it: what it signs with this one does not count any more."""
    known = state.governance.sites.get(site)
    return known is None or known.key != signer.public_key


# -- the shell --------------------------------------------------------------------------------------------------------


class Announcer(Protocol):
    """What of a runner is needed here."""

    async def submit(self, data: bytes) -> Reply:
        """Order a submission and wait for its outcomes. Raises SentoError."""
        ...

    def halt(self, state: str, words: str) -> None:
        """Stop taking part, in words."""
        ...


async def keep_announced(
    runner: Announcer,
    state: LedgerState,
    site: str,
    signer: Signer,
    clock: Clock,
    ready: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Announce until the ledger says it, for as long as the site runs; stop the site in words when its key was replaced."""
    log = structlog.get_logger("sento.node").bind(site=site)
    release = version("sento")
    while True:
        await sleep(LOOK_EVERY_MS / 1000)
        if not ready():
            continue
        if key_is_replaced(state, site, signer):
            words = "Officers gave this site another signing key, or retired it. Put the new key file in place and start the node again."
            runner.halt("stopped", words)
            return
        if not announcement_due(state, site):
            continue
        record_id = uuid7(clock.wall_ms(), os.urandom(RANDOM_BYTES))
        data = announcement(state, site, signer, release, record_id, clock.wall_ms())
        try:
            reply = await runner.submit(data)
        except SentoError as error:
            log.info("rules not announced yet", why=error.code.name)
            await sleep(AGAIN_MS / 1000)
            continue
        codes = [outcome.code for outcome in reply.outcomes]
        if codes and codes[0] in STANDING_CODES:
            log.info("rules announced", rules=sorted(RULES), position=reply.outcomes[0].position)
        else:
            log.info("rules not announced yet", why=(reply.code or codes[0]).name)
            await sleep(AGAIN_MS / 1000)
