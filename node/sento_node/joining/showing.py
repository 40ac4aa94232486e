"""How a joining comes along, one line whenever something changed: for a person who waits at a terminal, or as JSON for programs.

{"site", "state", "step", "explanation", "done", "wanted", "rate_bytes_per_s", "source"}    the last line has "state": "serving", or why it is not
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from sento_node.service.node_state import NodeState

LOOK_EVERY_MS = 500
DONE_STATES = ("serving", "refused", "stopped", "diverged")


async def show_joining(node: NodeState, say: Callable[[str], None], *, as_json: bool) -> None:
    """Lines until the site serves, or has given up."""
    last = ""
    while True:
        value = joining_value(node)
        line = json.dumps(value) if as_json else joining_line(value)
        if line != last:
            say(line)
            last = line
        if (value["state"] in DONE_STATES and node.condition.joining is None) or value["state"] == "refused":
            return
        await asyncio.sleep(LOOK_EVERY_MS / 1000)


def joining_value(node: NodeState) -> dict[str, object]:
    """What there is to say now."""
    condition, progress = node.condition, node.condition.sync
    now_ms = node.clock.now_ms()
    return {
        "site": node.config.site,
        "state": condition.shown_state,
        "step": condition.joining or "",
        "explanation": condition.explanation,
        "done": node.applied_size if progress is None else progress.done,
        "wanted": node.applied_size if progress is None else progress.wanted,
        "rate_bytes_per_s": 0 if progress is None else progress.rate_bytes_per_s(now_ms),
        "source": "" if progress is None else progress.source,
    }


def joining_line(value: dict[str, object]) -> str:
    """For people, without the rate while nothing is copied."""
    copied = (
        f" {value['done']:,} of {value['wanted']:,} records from {value['source']}, {_kib(value['rate_bytes_per_s'])} KiB/s."
        if value["source"]
        else ""
    )
    step = f" {value['step']}" if value["step"] else ""
    return f"{value['site']}: {value['state']}.{step}{copied} {value['explanation']}"


def _kib(rate_bytes_per_s: object) -> int:
    return rate_bytes_per_s // 1024 if isinstance(rate_bytes_per_s, int) else 0
