"""The shell of `announcing.py`: every second, is the site's own word due? It goes to the site's own ingress; a site whose key was replaced is stopped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Protocol

import structlog

from sento_node.announcing import announcement, announcement_due, key_is_replaced
from sento_node.clock import Clock
from sento_node.ledger.state import LedgerState
from sento_node.site import Reply
from sento_proto.errors import STANDING_CODES, SentoError
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.keys import Signer
from sento_proto.rules import RULES

LOOK_EVERY_MS = 1_000
AGAIN_MS = 10_000


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
