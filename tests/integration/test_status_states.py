"""`sento status` as a process against three real sites: healthy, a follower killed, no majority, and back; what it says, how it ends, and how watching ends."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from live_sites import AUTHOR, LiveSites, running_sites, writes_again
from sento_client.cli.exits import Exit
from sento_drill.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENTO = [sys.executable, "-c", "from sento_client.cli.main import main; main(prog_name='sento')"]
ENDS_IN_S = 30.0


class Said(NamedTuple):
    code: int
    value: dict[str, Any]

    def site(self, name: str) -> dict[str, Any]:
        return next(site for site in self.value["sites"] if site["site"] == name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites() as sites:
        yield sites


async def begin(
    sites: LiveSites, *args: str, terminal: int = asyncio.subprocess.PIPE
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *SENTO,
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=terminal,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "SENTO_CONFIG": str(sites.world.institution(AUTHOR).config),
            "COLUMNS": "100",
            "TERM": "xterm",
        },
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    try:
        out, err = await asyncio.wait_for(process.communicate(), ENDS_IN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert not err, err.decode()
    assert process.returncode is not None
    return process.returncode, (out or b"").decode()


async def status(sites: LiveSites) -> Said:
    code, out = await ended(await begin(sites, "--json", "status"))
    return Said(code, json.loads(out))


async def status_when(sites: LiveSites, condition: Callable[[Said], bool], what: str) -> Said:
    """The first word of the command for which `condition` holds: a killed site's peers need seconds to miss it."""

    async def look() -> Said | None:
        said = await status(sites)
        return said if condition(said) else None

    return await until(look, deadline_s=ENDS_IN_S, what=what)


async def test_from_healthy_over_a_dead_follower_to_no_majority_and_back(sites: LiveSites) -> None:
    lead = await sites.cluster.lead_site()
    follower, last = (name for name in sites.names if name != lead)
    await writes_again(sites, lead)

    healthy = await status_when(sites, lambda said: said.code == Exit.OK, "healthy")
    assert (healthy.value["writing"], healthy.value["critical_sites"]) == ("ok", [])
    assert (healthy.value["degraded"], healthy.value["problems"], healthy.value["lead"]) == (False, [], lead)
    assert healthy.value["may_be_lost"]["any_of"] == 2
    assert healthy.site(lead)["applied_size"] > 0
    assert healthy.site(last)["ordering_quota_bytes"] > 0

    sites.cluster.kill_site(follower)
    down = await status_when(
        sites, lambda said: said.value["writing"] == "one_loss_stops", "one site is missed"
    )
    assert down.code == Exit.DEGRADED
    assert sorted(down.value["critical_sites"]) == sorted([lead, last])
    assert sorted(down.value["may_be_lost"]["sites"]) == sorted([lead, last])
    assert [(each["site"], each["trouble"]) for each in down.value["problems"]] == [(follower, "no-answer")]
    assert "last heard from it" in down.value["problems"][0]["words"]
    assert down.site(follower)["last_known_size"] is not None

    sites.cluster.kill_site(last)
    stopped = await status_when(
        sites, lambda said: said.value["writing"] != "unknown", "the site that is left knows that it is alone"
    )
    assert stopped.code == Exit.DEGRADED
    assert (stopped.value["writing"], stopped.value["critical_sites"]) == ("stopped", [])
    assert stopped.value["may_be_lost"] == {
        "any_of": 0,
        "sites": [name for name in sites.names if name != lead],
        "come_back": 1,
    }
    assert stopped.site(lead)["state"] == "no-majority"
    assert stopped.value["sentence"].startswith("Writing is stopped")

    sites.cluster.start_all()
    await sites.cluster.wait_serving()
    back = await status_when(sites, lambda said: said.code == Exit.OK, "healthy again")
    assert back.value["writing"] == "ok"


async def test_watching_gives_an_object_a_line_and_ends_with_the_last_state_on_ctrl_c(
    sites: LiveSites,
) -> None:
    await status_when(sites, lambda said: said.code == Exit.OK, "healthy")
    process = await begin(sites, "--json", "status", "--watch", "0.2")
    assert process.stdout is not None
    for _ in range(3):
        line = await asyncio.wait_for(process.stdout.readline(), ENDS_IN_S)
        assert json.loads(line)["format"] == "sento-status-1"
    process.send_signal(signal.SIGINT)
    code, rest = await ended(process)
    assert code == Exit.OK
    assert all(json.loads(line)["writing"] == "ok" for line in rest.splitlines())


async def test_watching_without_a_terminal_prints_page_after_page(sites: LiveSites) -> None:
    process = await begin(sites, "status", "--watch", "0.2")
    assert process.stdout is not None
    pages = 0
    while pages < 2:
        line = await asyncio.wait_for(process.stdout.readline(), ENDS_IN_S)
        pages += line.startswith(b"All is well")
    process.send_signal(signal.SIGINT)
    code, _ = await ended(process)
    assert code == Exit.OK


async def test_watching_on_a_terminal_redraws_in_place_and_leaves_the_last_page(sites: LiveSites) -> None:
    ours, theirs = pty.openpty()
    try:
        process = await begin(sites, "status", "--watch", "0.2", terminal=theirs)
        os.close(theirs)
        seen = bytearray()
        while seen.count(b"ago; the slowest") < 3:
            seen += await asyncio.wait_for(asyncio.to_thread(os.read, ours, 65_536), ENDS_IN_S)
        process.send_signal(signal.SIGINT)
        code, _ = await ended(process)
    finally:
        os.close(ours)
    assert code == Exit.OK
    assert b"\x1b[1A" in seen, "the cursor goes up to draw over the page before"
    text = b" ".join(bytes(seen).split())
    assert b"All is well" in text
    assert b"what is acknowledged now." in text, "a sentence is wrapped, never cut"
