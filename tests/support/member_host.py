"""A process that only runs one ordering member, to be killed by a test: reads settings as JSON on stdin, prints the member's pid once it is ready."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sento_node.ordering.etcd.member import EtcdMember
from sento_node.ordering.etcd.settings import MemberSettings, PeerTls
from sento_node.ordering.etcd.version import find_etcd


def settings_to_json(settings: MemberSettings) -> str:
    return json.dumps(asdict(settings), default=str)


def settings_from_json(text: str) -> MemberSettings:
    fields: dict[str, Any] = json.loads(text)
    tls: dict[str, Any] = fields["tls"]
    for name in ("ca_file", "cert_file", "key_file"):
        tls[name] = Path(tls[name])
    for name in ("data_dir", "run_dir"):
        fields[name] = Path(fields[name])
    return MemberSettings(**fields | {"tls": PeerTls(**tls)})


async def host() -> None:
    member = EtcdMember(settings_from_json(sys.stdin.readline()), find_etcd())
    await member.start()
    await member.wait_ready(timeout_ms=20_000)
    print(member.pid, flush=True)
    await member.ended()


if __name__ == "__main__":
    asyncio.run(host())
