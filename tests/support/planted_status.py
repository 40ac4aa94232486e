"""Registries for judging, planted field by field: sites that answer as healthy ones do until a test says otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from genesis_builder import SITES, TestWorld
from sento_client.site_status import Judgement, SiteReport, judge
from sento_proto.errors import Code
from sento_proto.v1 import admin_pb2

NOW_MS = 1_800_000_000_000
GIB = 1024**3
HEALTHY_AGE_MS = 700


class PlantedSites:
    """What each site would say. `gone` sites do not answer; `say` changes what one says, `hears` when one last heard from another."""

    def __init__(self, world: TestWorld, size: int = 1_000) -> None:
        self.world = world
        self.names = tuple(site.name for site in world.genesis.sites)
        self.now_ms = NOW_MS
        self._said = {site: self._healthy(site, size) for site in self.names}
        self._silent: dict[str, Code] = {}
        self._took_ms: dict[str, int] = {}
        self.configured = self.names

    def _healthy(self, site: str, size: int) -> admin_pb2.StatusReply:
        status = admin_pb2.StatusReply(
            site=site,
            ledger_id=self.world.ledger_id,
            version="1.0.0",
            state="serving",
            explanation="as planted",
            applied_size=size,
            flushed_size=size,
            quorum_size=size,
            quorum_time_s=NOW_MS // 1000 - 1,
            lead_site=self.names[0],
            is_lead=site == self.names[0],
            now_ms=NOW_MS,
            ordering_quota_bytes=2 * GIB,
            ordering_in_use_bytes=GIB // 100,
            disk_free_bytes=50 * GIB,
            disk_total_bytes=100 * GIB,
            certificate_expires_at_s=NOW_MS // 1000 + 300 * 86_400,
        )
        for peer in self.names:
            if peer != site:
                status.peers.add(
                    site=peer, reachable=True, size=size, last_contact_ms=NOW_MS - HEALTHY_AGE_MS
                )
        return status

    def say(self, site: str, **fields: object) -> PlantedSites:
        """Change fields of what a site says."""
        for name, value in fields.items():
            if isinstance(value, list):
                del getattr(self._said[site], name)[:]
                getattr(self._said[site], name).extend(value)
            elif isinstance(value, Message):
                getattr(self._said[site], name).CopyFrom(value)
            else:
                setattr(self._said[site], name, value)
        return self

    def say_all(self, **fields: object) -> PlantedSites:
        """Change fields of what every site says."""
        for site in self.names:
            self.say(site, **fields)
        return self

    def gone(self, *sites: str, code: Code = Code.UNREACHABLE, ago_ms: int = 14_000) -> PlantedSites:
        """These sites do not answer; the others heard from them `ago_ms` ago."""
        for site in sites:
            self._silent[site] = code
            for by in self.names:
                self.hears(by, site, ago_ms)
        return self

    def hears(self, by: str, site: str, ago_ms: int | None, size: int | None = None) -> PlantedSites:
        """`by` last heard from `site` so long ago (None: never)."""
        status = self._said[by]
        for peer in status.peers:
            if peer.site == site:
                peer.last_contact_ms = 0 if ago_ms is None else status.now_ms - ago_ms
                peer.reachable = ago_ms is not None and ago_ms < 10_000
                peer.size = peer.size if size is None else size
        return self

    def slow(self, site: str, took_ms: int) -> PlantedSites:
        """The answer took so long."""
        self._took_ms[site] = took_ms
        return self

    def later(self, by_ms: int) -> PlantedSites:
        """Time goes by everywhere; contacts with sites that answer go on."""
        self.now_ms += by_ms
        for status in self._said.values():
            status.now_ms += by_ms
            for peer in status.peers:
                if peer.reachable and peer.site not in self._silent:
                    peer.last_contact_ms += by_ms
        return self

    def reports(self) -> list[SiteReport]:
        """One look at all that are configured."""
        found = []
        for site in self.configured:
            took_ms = self._took_ms.get(site, 3)
            if (code := self._silent.get(site)) is not None:
                found.append(SiteReport(site, None, f"{code.name} (as planted)", code, took_ms))
            else:
                status = admin_pb2.StatusReply.FromString(self._said[site].SerializeToString())
                found.append(SiteReport(site, status, "", took_ms=took_ms))
        return found

    def judged(self, before: Judgement | None = None) -> Judgement:
        """What the judge makes of it."""
        return judge(self.world.genesis, self.reports(), self.now_ms, before)


def lines(judgement: Judgement) -> list[str]:
    """All that is noted, as people read it."""
    return [problem.line for problem in judgement.problems]


def troubles(judgement: Judgement) -> Mapping[str, str]:
    """Trouble -> the site it is noted at."""
    return {str(problem.trouble): problem.site for problem in judgement.problems}


A, B, C = SITES
