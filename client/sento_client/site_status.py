"""How the registry stands, in one sentence and a table: what is fine, and what may be lost now.

Judged from what the sites say of themselves (Admin.Status) and from which of them say nothing. Pure: reports in, judgement out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sento_proto.genesis import Genesis
from sento_proto.v1 import admin_pb2

SERVING = "serving"
CERTIFICATE_WARNING_S = 14 * 86_400
DISK_LOW_BYTES = 2 * 1024**3
DISK_LOW_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class SiteReport:
    """One site's answer, or why there is none (`trouble`, empty when it answered)."""

    site: str
    status: admin_pb2.StatusReply | None
    trouble: str

    @property
    def serves(self) -> bool:
        """Whether it takes part now."""
        return self.status is not None and self.status.state == SERVING

    def serves_ledger(self, ledger_id: bytes) -> bool:
        """Whether it takes part now, and in this ledger."""
        return self.serves and self.status is not None and self.status.ledger_id == ledger_id


@dataclass(frozen=True, slots=True)
class Judgement:
    """`sentence`: for people, first thing they read. `problems`: one line each. `degraded`: something is not as it should be."""

    sentence: str
    problems: tuple[str, ...]
    degraded: bool
    reachable: int


def judge(genesis: Genesis, reports: Sequence[SiteReport]) -> Judgement:
    """What the reports mean. Sites of the genesis file that were not asked count as unknown and are not held against it."""
    problems = tuple(line for report in reports for line in _problems(genesis, report))
    reachable = sum(report.status is not None for report in reports)
    voting = genesis.voting_sites
    serving = [
        report.site for report in reports if report.site in voting and report.serves_ledger(genesis.ledger_id)
    ]
    needed = len(voting) // 2 + 1
    sentence = _sentence(len(voting), serving, needed, reachable, bool(problems))
    return Judgement(sentence, problems, bool(problems), reachable)


def _sentence(voting: int, serving: list[str], needed: int, reachable: int, problems: bool) -> str:
    if not reachable:
        return "No site answers from here, so nothing can be said about the registry; check this computer's network and certificate first."
    spare = len(serving) - needed
    if spare < 0:
        return (
            f"Writing is stopped: {len(serving)} of {voting} voting sites serve and {needed} are needed. What was acknowledged is on the disks of "
            f"{needed} sites, and may be lost only if those that do not answer now never come back."
        )
    if spare == 0 and voting > 1:
        return (
            f"Writing goes on with {len(serving)} of {voting} voting sites, and nothing acknowledged is lost; "
            f"the loss of any one of them ({', '.join(serving)}) stops writing now."
        )
    if voting == 1:
        return "The only voting site serves. There is no second copy that votes: its loss stops writing and may lose what was acknowledged."
    loss = "any one site" if spare == 1 else f"any {spare} sites"
    rest = "; see what is noted below" if problems else ""
    return (
        f"All is well with writing: {len(serving)} of {voting} voting sites serve, and {loss} may be lost without losing "
        f"what was acknowledged or stopping writing{rest}."
    )


def _problems(genesis: Genesis, report: SiteReport) -> list[str]:
    status = report.status
    if status is None:
        return [f"{report.site} does not answer: {report.trouble}"]
    lines: list[str] = []
    if status.ledger_id != genesis.ledger_id:
        lines.append("it is a site of another ledger")
    if status.state != SERVING:
        lines.append(f"it is {status.state}: {status.explanation}")
    lines += [f"alarm: {alarm}" for alarm in status.alarms]
    lines += [f"alarm of the ordering log: {alarm}" for alarm in status.ordering_alarms]
    if status.disk_total_bytes and _disk_is_low(status):
        lines.append(f"its disk has {status.disk_free_bytes // 1024**2} MiB free")
    left_s = status.certificate_expires_at_s - status.now_ms // 1000
    if status.certificate_expires_at_s and left_s < CERTIFICATE_WARNING_S:
        lines.append(f"its certificate ends in {max(0, left_s) // 86_400} days")
    return [f"{report.site}: {line}" for line in lines]


def _disk_is_low(status: admin_pb2.StatusReply) -> bool:
    soft_limit = max(DISK_LOW_BYTES, int(DISK_LOW_SHARE * status.disk_total_bytes))
    # A disk that is small as a whole, as on a test machine, is judged by its share alone.
    if status.disk_total_bytes < 10 * DISK_LOW_BYTES:
        soft_limit = int(DISK_LOW_SHARE * status.disk_total_bytes)
    return status.disk_free_bytes < soft_limit
