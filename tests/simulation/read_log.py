"""Sites that record releases, as they would where officers raised the rules so far: seals of their KEKs, access records, also under delays; and false ones.

The true ones go through the site's own ingress while it serves. The false ones are given to the thieves, who bring them past ingress too. Nobody waits for an
answer; the reference says what each comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulation.acts_of_the_read_log import CASES, ReadLogDesk
from tests.simulation.heap import EventHeap
from tests.simulation.people import People, officer_signer
from tests.simulation.site_host import SiteHost
from tests.simulation.stolen_keys import StolenKeys

from sento_client.testing.world import Numbers
from sento_proto.access_record import PAYLOAD_MAX_BYTES, access_header, fact_of_access
from sento_proto.governance.state import Governance, site_author, subject_of_delay
from sento_proto.header import Header
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.keys import Signer
from sento_proto.record import make_record
from sento_proto.submission import group_value, sign_submission

FROM_RULES = 4
PAUSE_MS = (150, 700)
EMBASSY = "de-embassy"
EMBASSY_KEYS_MAX = 40
Made = tuple[Header, int]
"""A header without payload, and how many bytes the payload gets."""


class ReadLog:
    """All sites' access records of one world."""

    def __init__(
        self, heap: EventHeap, people: People, sites: Mapping[str, SiteHost], desk: ReadLogDesk
    ) -> None:
        self._heap = heap
        self._people = people
        self._sites = sites
        self._desk = desk
        self._numbers = Numbers(heap.between(0, 1 << 40))
        self._stolen = StolenKeys(heap, people)
        self.running = True
        self.false_kinds: list[tuple[str, Callable[[Governance], list[bytes]]]] = [
            ("acts that order an erasure and end it in one block", desk.at_once),
            ("an erasure ended twice in one block", desk.carried_out_and_withdrawn),
            ("access record under a site's former key", self._former_key),
            ("access record by an institution", self._by_institution),
            ("seals for access records by an institution", self._seals_by_institution),
            ("access record under another key epoch", self._other_epoch),
            ("access record over its size", self._over_size),
            ("access record out of its form", self._out_of_form),
            ("access record in another place", self._elsewhere),
            ("access record under a delay that is none", self._no_delay),
            ("seals by a site for what it may not write", self._seals_elsewhere),
        ]

    def start(self) -> None:
        """Begin."""
        self._heap.after(self._heap.between(500, 1_500), self._work)

    def _work(self) -> None:
        if not self.running:
            return
        host = self._heap.one_of(list(self._sites.values()))
        if host.serving and host.knows_rules and host.site.state.governance.rules >= FROM_RULES:
            governance = host.site.state.governance
            data = self._seals(governance, host) if self._heap.chance(0.2) else self._access(governance, host)
            host.answering.submit(_nobody, 0, data)
        self._heap.after(self._heap.between(*PAUSE_MS), self._work)

    def _access(self, governance: Governance, host: SiteHost) -> bytes:
        """A release, or a refused attempt; under a delay where the case is delayed."""
        header, size = self._plain(governance, host.signer)
        delay = governance.delay_of(header.registry, self._heap.one_of(list(CASES)))
        if delay is not None:
            self._heap.faults["release recorded under a delay"] += 1
            header = header._replace(kind="access-delayed", subject=delay.subject)
        self._heap.faults["release recorded by a site"] += 1
        return self._signed((header, size), host.signer)

    def _seals(self, governance: Governance, host: SiteHost) -> bytes:
        self._heap.faults["seals of a site's key"] += 1
        registry = self._heap.one_of(["residency", "tax", "health"])
        return self._seals_of(governance, host.name, host.signer, registry, "access", 0)

    # -- making -------------------------------------------------------------------------------------------------------------

    def _plain(self, governance: Governance, signer: Signer) -> Made:
        about = self._desk.a_subject() or ("residency", bytes([1]) * 32)
        header = access_header(
            self._numbers.record_id(),
            signer.public_key.key_id,
            self._numbers.next_time_ms(),
            registry=about[0],
            key_epoch=governance.registries[about[0]].key_epoch,
            subject=about[1],
            kind=self._heap.one_of(["access", "access", "access-refused"]),
        )
        return header, self._heap.one_of([320, 1_088, PAYLOAD_MAX_BYTES])

    def _signed(self, made: Made, signer: Signer) -> bytes:
        header, size = made
        payload = self._numbers.take(size) if size else b""
        commit = self._numbers.take(32) if size else bytes(32)
        record = make_record(header._replace(payload_bytes=size, dek_commit=commit), payload)
        return sign_submission(self._people.world.ledger_id, [record], signer)

    def _any_site(self) -> Signer:
        return self._heap.one_of(list(self._sites.values())).signer

    def _changed(self, governance: Governance, **fields: object) -> list[bytes]:
        signer = self._any_site()
        header, size = self._plain(governance, signer)
        return [self._signed((header._replace(**fields), size), signer)]  # type: ignore[arg-type]

    def _seals_of(
        self, governance: Governance, site: str, signer: Signer, registry: str, compartment: str, ahead: int
    ) -> bytes:
        state = governance.registries.get(registry)
        key_epoch = (1 if state is None else state.key_epoch) + ahead
        part = self._heap.between(0, 99)
        seals = KekSeals(self._numbers.take(32), registry, compartment, key_epoch, part, (b"seal" * 9,))
        at, key_id = self._numbers.next_time_ms(), signer.public_key.key_id
        header = kek_seals_header(self._numbers.record_id(), site_author(site), key_id, at, seals)
        return self._signed((header, 0), signer)

    # -- what must not stand ------------------------------------------------------------------------------------------------

    def _former_key(self, governance: Governance) -> list[bytes]:
        """By a site that was retired, or that nobody runs and that stands all the same while officers call it a site."""
        former = [key for name, key in governance.site_keys_ever.values() if name == EMBASSY]
        if not former:
            return []
        key_id = self._heap.one_of(former).key_id
        signers = [officer_signer("embassy", number * 3) for number in range(1, EMBASSY_KEYS_MAX)]
        signer = next(one for one in signers if one.public_key.key_id == key_id)
        if self._heap.chance(0.3):
            return [self._seals_of(governance, EMBASSY, signer, "health", "access", 0)]
        return [self._signed(self._plain(governance, signer), signer)]

    def _an_author(self, governance: Governance) -> str:
        """One that may write all of health but this, where there is one."""
        authors = ["iizuka-hospital", "kaga-clinic"]
        able = [author for author in authors if governance.may_write(author, "health", "any")]
        return self._heap.one_of(able or [*authors, "iizuka-city"])

    def _by_institution(self, governance: Governance) -> list[bytes]:
        author = self._an_author(governance)
        signer = self._stolen.any_key(governance, author)
        if signer is None:
            return []
        return [self._stolen.plain(governance, author, signer, compartment="access", kind="access")]

    def _seals_by_institution(self, governance: Governance) -> list[bytes]:
        author = self._an_author(governance)
        signer = self._stolen.any_key(governance, author)
        if signer is None:
            return []
        registry = {"iizuka-city": "residency"}.get(author, "health")
        epoch = governance.registries[registry].key_epoch
        seals = KekSeals(self._numbers.take(32), registry, "access", epoch, 0, (b"seal" * 9,))
        at, key_id = self._numbers.next_time_ms(), signer.public_key.key_id
        header = kek_seals_header(self._numbers.record_id(), author, key_id, at, seals)
        return [self._stolen.sign(header, signer)]

    def _other_epoch(self, governance: Governance) -> list[bytes]:
        """One that may be closed, or that nobody started."""
        return self._changed(governance, key_epoch=self._heap.one_of([0, 1, 1, 1, 2, 9]))

    def _over_size(self, governance: Governance) -> list[bytes]:
        signer = self._any_site()
        header, _ = self._plain(governance, signer)
        size = self._heap.one_of([0, PAYLOAD_MAX_BYTES + 1, 16 * 1024])
        return [self._signed((header, size), signer)]

    def _out_of_form(self, governance: Governance) -> list[bytes]:
        record_id = self._numbers.record_id()
        fact = fact_of_access(record_id)
        wrong: list[dict[str, object]] = [
            {"fact": self._numbers.take(16)},
            {"previous": self._numbers.take(32)},
            {"record_id": record_id, "fact": fact, "group": group_value([record_id])},
        ]
        return self._changed(governance, **self._heap.one_of(wrong))

    def _elsewhere(self, governance: Governance) -> list[bytes]:
        wrong: list[dict[str, object]] = [
            {"compartment": "ward"},
            {"compartment": ""},
            {"kind": "theft"},
            {"kind": "kek-seals"},
            {"registry": "nowhere"},
            {"registry": "keys"},
            {"registry": "governance"},
        ]
        return self._changed(governance, **self._heap.one_of(wrong))

    def _no_delay(self, governance: Governance) -> list[bytes]:
        """Under a name that nobody ordered, one for another registry, or one that was released, which is no theft."""
        registry = self._heap.one_of(["residency", "tax", "health"])
        elsewhere = [
            name for name, one in governance.read_log_delays.items() if registry not in one.registries
        ]
        names = elsewhere if elsewhere and self._heap.chance(0.6) else ["inv-99", *governance.read_log_delays]
        subject = subject_of_delay(self._heap.one_of(names))
        epoch = governance.registries[registry].key_epoch
        return self._changed(
            governance, kind="access-delayed", subject=subject, registry=registry, key_epoch=epoch
        )

    def _seals_elsewhere(self, governance: Governance) -> list[bytes]:
        host = self._heap.one_of(list(self._sites.values()))
        registry, compartment, ahead = self._heap.one_of(
            [("health", "ward", 0), ("health", "", 0), ("tax", "access", 1), ("keys", "access", 0), ("nowhere", "access", 0)]
        )  # fmt: skip
        name = self._heap.one_of([host.name, host.name, "jp-fukuoka"])
        return [self._seals_of(governance, name, host.signer, registry, compartment, ahead)]


def _nobody(number: int, epoch: int, answers: list[tuple[int, int, bytes]], error: int) -> None:
    """Nobody waits."""
