"""Three etcd members on loopback as they come: flushing on, heartbeat and election timeout as our own members have them, room for everything that is written.

No TLS and no authentication, which costs etcd nothing that we would have to add. Source: etcd, "Configuration options"; the gateway's /v3/maintenance/status.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sento_drill.bench.programs import Server
from sento_drill.ports import free_ports
from sento_drill.waiting import TooLate, until

HEARTBEAT_MS, ELECTION_MS = 100, 1000
QUOTA_BYTES = 8 * 2**30
START_DEADLINE_S = 60.0
_ASK_TIMEOUT_S = 1.0
_FIRST_WITH_DEFAULTS = (3, 5)
"""Before this release the vote before the vote and the structured log must be asked for."""


class Standing(NamedTuple):
    """What one member says: its id, and who leads (0: nobody)."""

    member_id: str
    leader_id: str


def etcd_version() -> str:
    """As it prints it, "" when it is not installed."""
    if shutil.which("etcd") is None:
        return ""
    printed = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=False, timeout=10)
    found = re.search(r"etcd Version: (\S+)", printed.stdout)
    return found[1] if found else ""


class EtcdMembers:
    """Three members with empty directories under `directory`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        ports = free_ports(3)
        self.endpoints = {f"member {n}": site.address for n, site in enumerate(ports, 1)}
        self._peers = {
            name: f"http://127.0.0.1:{site.ordering_peer}"
            for name, site in zip(self.endpoints, ports, strict=True)
        }
        self._running: dict[str, Server] = {}

    def servers(self) -> Mapping[str, int]:
        """Role -> process id."""
        return {name: server.pid for name, server in self._running.items() if server.runs}

    async def start(self) -> None:
        """Start all members, and wait until all agree on who leads. Raises TooLate."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        version = tuple(int(number) for number in re.findall(r"\d+", etcd_version())[:2])
        for name in self.endpoints:
            command = self._command(name, version)
            log = self._directory / f"{_label(name)}.log"
            self._running[name] = Server(command, log, environment=environment)
        await self.wait_lead()

    async def wait_lead(self) -> str:
        """The leading member, when all that run name the same one. Raises TooLate."""

        async def agreed() -> str | None:
            for name, server in self._running.items():
                if not server.runs:
                    raise TooLate(f"etcd {name} ended by itself: {server.tail()}")
            standings = await asyncio.gather(*(asyncio.to_thread(self._ask, name) for name in self._running))
            leads = {standing.leader_id for standing in standings if standing}
            if None in standings or len(leads) != 1:
                return None
            named = zip(self._running, standings, strict=True)
            return next((name for name, own in named if own and own.member_id in leads), None)

        return await until(
            agreed, deadline_s=START_DEADLINE_S, what="etcd's members do not agree on who leads"
        )

    def kill(self, name: str) -> None:
        """kill -9."""
        self._running[name].kill()

    async def stop(self) -> None:
        """End all members and remove what they wrote."""
        for name in list(self._running):
            self._running.pop(name).kill()
        await asyncio.to_thread(shutil.rmtree, self._directory)

    def _command(self, name: str, version: tuple[int, ...]) -> list[str]:
        client, peer = f"http://{self.endpoints[name]}", self._peers[name]
        members = ",".join(f"{_label(other)}={url}" for other, url in self._peers.items())
        flags = {
            "name": _label(name),
            "data-dir": str(self._directory / _label(name)),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": members,
            "heartbeat-interval": str(HEARTBEAT_MS),
            "election-timeout": str(ELECTION_MS),
            "quota-backend-bytes": str(QUOTA_BYTES),
            "log-level": "error",
        }
        if version < _FIRST_WITH_DEFAULTS:
            flags |= {"pre-vote": "true", "logger": "zap"}
        return ["etcd", *(f"--{flag}={value}" for flag, value in flags.items())]

    def _ask(self, name: str) -> Standing | None:
        url = f"http://{self.endpoints[name]}/v3/maintenance/status"
        request = urllib.request.Request(url, data=b"{}", headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=_ASK_TIMEOUT_S) as answer:  # noqa: S310
                status = json.load(answer)
        except (urllib.error.URLError, OSError):
            return None
        leader_id = str(status.get("leader", "0"))
        return None if leader_id == "0" else Standing(str(status["header"]["member_id"]), leader_id)


def _label(name: str) -> str:
    return name.replace(" ", "-")
