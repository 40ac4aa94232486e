"""Bad officers and thieves: what must be refused, or held, or have no effect at all, through an honest site's ingress and past one that looks at nothing.

A careless site's block holds whatever it was given, so that apply meets it at every site and not only ingress at one. Nobody waits for an answer; the
reference says what each comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulation.acts_desk import ActsDesk
from tests.simulation.heap import EventHeap
from tests.simulation.officers_host import OfficersHost
from tests.simulation.ordering import SimOrdering
from tests.simulation.people import BUDGETS, Change, People, author_signer, author_signers, base64_of
from tests.simulation.site_host import SiteHost
from tests.simulation.stolen_keys import StolenKeys

from sento_proto.block import Lane, sign_block
from sento_proto.governance.state import Governance
from sento_proto.keys import Signer
from sento_proto.record import Record
from sento_proto.rules import NEWEST_RULES

CARELESS_BOOT = 700
SMALL_ORDER_KEY = base64_of(b"\x01" + bytes(31))


class Thieves:
    """Everybody who must not succeed, in one world."""

    def __init__(
        self,
        heap: EventHeap,
        people: People,
        ordering: SimOrdering,
        sites: Mapping[str, SiteHost],
        officers: OfficersHost,
    ) -> None:
        self._heap = heap
        self._people = people
        self._ordering = ordering
        self._sites = sites
        self._officers = officers
        self._desk: ActsDesk = officers.desk
        self._stolen = StolenKeys(heap, people)
        self._blocks = 0
        self.running = True
        self.pause_ms = heap.one_of([(80, 300), (150, 600), (400, 1_500)])
        self.kinds: list[tuple[str, Callable[[Governance], list[bytes]]]] = [
            ("act with too few signatures", self._too_few),
            ("act by an officer and the own deputy", self._with_deputy),
            ("act by a retired officer", self._retired),
            ("act with an author's key", self._author_as_officer),
            ("act with a changed signature", self._changed),
            ("act for another epoch", self._other_epoch),
            ("act for another ledger", self._other_ledger),
            ("act replayed by a careless site", self._replayed),
            ("two conflicting acts in one block", self._conflicting),
            ("act and what it allows in one block", self._at_once),
            ("set-rules and an act behind it in one block", self._rules_at_once),
            ("set-rules past ingress", self._rules_now),
            ("act and behind it the one that enrols its officer in one block", self._early_officer),
            ("act whose second change does not fit", self._half),
            ("small-order key in an act", self._small_order),
            ("revoked key goes on writing", self._stolen.revoked_key),
            ("record under a closed key epoch", self._stolen.closed_epoch),
            ("record under a key epoch to come", self._stolen.early_epoch),
            ("night-time rewriting of many people", self._stolen.night),
            ("clinic writes into another's compartment", self._stolen.other_compartment),
            ("seal record malformed", self._stolen.seals_malformed),
            ("seal record in another author's name", self._stolen.seals_of_another),
            ("seal record where the author may not write", self._stolen.seals_elsewhere),
            ("companion's signature left out", self._stolen.stripped),
            ("site announces in another's name", self._false_announcement),
        ]

    def start(self) -> None:
        """Begin."""
        self._heap.after(self._heap.between(800, 2_000), self._work)

    def stop(self) -> None:
        """No more of it."""
        self.running = False

    def _work(self) -> None:
        if not self.running:
            return
        governance = self._officers.sees()
        name, make = self._heap.one_of(self.kinds)
        submissions = make(governance) if governance is not None else []
        if submissions:
            self._heap.fault(name)
            self._submit(submissions, together=name.endswith("in one block"))
        self._heap.after(self._heap.between(*self.pause_ms), self._work)

    def _submit(self, submissions: list[bytes], *, together: bool) -> None:
        host = self._heap.one_of([host for host in self._sites.values() if host.votes])
        if together or self._heap.chance(0.6):
            self.past_ingress(host, submissions)
            return
        for data in submissions:
            self._heap.after(self._heap.between(1, 60), host.answering.submit, _nobody, 0, data)

    def past_ingress(self, host: SiteHost, submissions: list[bytes]) -> None:
        """A block by a site that looked at nothing, under a lane of a life that never was."""
        if not self._ordering.members[host.name].up:
            return
        self._blocks += 1
        lane = Lane(host.name, CARELESS_BOOT + self._blocks, 0)
        ledger_id, epoch = self._people.world.ledger_id, host.disk.store.tip.epoch
        data = sign_block(ledger_id, epoch, lane, 1, submissions, host.signer)
        self._ordering.append(host.name, str(lane), 1, data, _unheard)

    # -- acts ---------------------------------------------------------------------------------------------------------------

    def _harmless(self, governance: Governance) -> Record:
        return self._desk.record(governance, [self._desk.seal_key_change()])

    def _signed_by(self, governance: Governance, signers: list[Signer]) -> list[bytes]:
        return [self._desk.sign(governance, self._harmless(governance), signers)] if signers else []

    def _too_few(self, governance: Governance) -> list[bytes]:
        return self._signed_by(governance, self._desk.signers(governance, governance.officers.threshold - 1))

    def _with_deputy(self, governance: Governance) -> list[bytes]:
        """As many signatures as are needed, by one office fewer."""
        doubled = [one for one in governance.officers.people.values() if one.deputy is not None]
        if not doubled or governance.officers.threshold < 2:
            return []
        both = self._heap.one_of(doubled)
        others = [one for one in governance.officers.people.values() if one is not both]
        signers = [self._desk.signer_of(key.key_id) for key in both.keys]
        few = self._heap.random.sample(others, min(len(others), governance.officers.threshold - 2))
        signers += [self._desk.signer_of(one.key.key_id) for one in few]
        return self._signed_by(governance, signers)

    def _retired(self, governance: Governance) -> list[bytes]:
        gone = [key_id for key_id in governance.officer_keys_ever if governance.office_of_key(key_id) is None]
        if not gone:
            return []
        most = self._desk.signers(governance, governance.officers.threshold - 1)
        return self._signed_by(governance, [*most, self._desk.signer_of(self._heap.one_of(gone))])

    def _author_as_officer(self, governance: Governance) -> list[bytes]:
        most = self._desk.signers(governance, governance.officers.threshold - 1)
        return self._signed_by(governance, [*most, author_signer("iizuka-city", 0)])

    def _changed(self, governance: Governance) -> list[bytes]:
        data = bytearray(
            self._desk.sign(governance, self._harmless(governance), self._desk.signers(governance))
        )
        data[-self._heap.between(1, 64)] ^= 1
        return [bytes(data)]

    def _other_epoch(self, governance: Governance) -> list[bytes]:
        return [self._desk.sign(governance, self._harmless(governance), self._desk.signers(governance), 77)]

    def _other_ledger(self, governance: Governance) -> list[bytes]:
        elsewhere = governance.changed(ledger_id=bytes(32))
        return [self._desk.sign(elsewhere, self._harmless(governance), self._desk.signers(governance))]

    def _replayed(self, governance: Governance) -> list[bytes]:
        return [self._heap.one_of(self._officers.stood).data] if self._officers.stood else []

    def _conflicting(self, governance: Governance) -> list[bytes]:
        records = [self._desk.record(governance, self._desk.decide(governance)) for _ in range(2)]
        return [self._desk.sign(governance, record, self._desk.signers(governance)) for record in records]

    def _at_once(self, governance: Governance) -> list[bytes]:
        """An act by honest officers takes hold for what is behind it in its block: a key that it enrols may write, one that it revokes may not."""
        author = self._heap.one_of([*sorted(BUDGETS), "iizuka-city", "kaga-city"])
        changes = self._desk.enrol_key(governance, author)
        if not changes:
            return []
        act = self._desk.record(governance, changes)
        data = self._desk.sign(governance, act, self._desk.signers(governance))
        described = str(changes[0]["key"]["public_key"])  # type: ignore[index]  # an enrolment has a key
        new = [one for one in author_signers(author).values() if base64_of(one.public_key.data) == described]
        old = [key_id for key_id, _ in self._stolen.keys(governance, author)]
        behind = [self._stolen.plain(governance, author, new[0])]
        if old:
            revoke: Change = {"do": "revoke-key", "author": author, "key_id": old[0].hex()}
            second = self._desk.record(governance, [revoke], previous=act.record_hash)
            behind.append(self._desk.sign(governance, second, self._desk.signers(governance)))
            behind.append(self._stolen.plain(governance, author, author_signers(author)[old[0]]))
        return [data, *behind]

    def _rules_at_once(self, governance: Governance) -> list[bytes]:
        """New rules hold from the next block on: behind them in one block an act that needs them does not fit yet."""
        if governance.rules >= 3:
            return []
        first = self._desk.record(governance, [{"do": "set-rules", "rules": governance.rules + 1}])
        author = "kaga-clinic"
        policy = {"do": "set-policy", "author": author, "ml_dsa_65": False}
        change = self._heap.one_of(
            [policy, self._desk.seal_key_change(), {"do": "set-rules", "rules": governance.rules + 1}]
        )
        second = self._desk.record(governance, [change], previous=first.record_hash)
        signed = [self._desk.sign(governance, one, self._desk.signers(governance)) for one in (first, second)]
        return [*signed, self._stolen.plain(governance, "iizuka-city", author_signer("iizuka-city", 0))]

    def _early_officer(self, governance: Governance) -> list[bytes]:
        """The second act arrives before the first, which puts one of those who sign it into office."""
        changes = self._desk.officer_comes(governance)
        if not changes:
            return []
        first = self._desk.record(governance, changes)
        second = self._desk.record(governance, [self._desk.seal_key_change()], previous=first.record_hash)
        described = str(changes[0]["officer"]["key"]["public_key"])  # type: ignore[index]  # an enrolment names a person
        newcomer = self._desk.signer_with(described)
        most = self._desk.signers(governance)
        signed = [
            self._desk.sign(governance, second, [*most, newcomer]),
            self._desk.sign(governance, first, most),
        ]
        return signed if self._heap.chance(0.7) else [*signed, signed[0]]

    def _rules_now(self, governance: Governance) -> list[bytes]:
        """Also when a site has not announced that it knows them, and to a number that nobody knows."""
        wanted = self._heap.one_of([governance.rules, governance.rules + 1, NEWEST_RULES + 1])
        record = self._desk.record(governance, [{"do": "set-rules", "rules": wanted}])
        return [self._desk.sign(governance, record, self._desk.signers(governance))]

    def _half(self, governance: Governance) -> list[bytes]:
        misfits: list[Change] = [
            {"do": "close-key-epoch", "registry": "tax", "key_epoch": 99},
            {"do": "retire-officer", "name": "nobody"},
            {"do": "set-threshold", "threshold": 1},
            {"do": "revoke-key", "author": "kaga-city", "key_id": bytes(16).hex()},
            {"do": "permit", "institution": "kaga-city", "may": "write", "scopes": []},
            {"do": "no-such-change"},
            {
                "do": "set-budget",
                "author": "kaga-city",
                "budget_per_10000_positions": {"records": 1, "subjects": 20_000},
            },
            {"do": "set-policy", "author": "kaga-city", "ml_dsa_65": True},
            {"do": "retire-site", "name": next(iter(self._sites))},
            {
                "do": "enrol-key",
                "author": "kaga-city",
                "key": {"suite": "ed25519", "public_key": self._key_of_city()},
            },
        ]
        bad = self._heap.one_of(misfits)
        first: Change = {
            "do": "set-budget",
            "author": "kaga-clinic",
            "budget_per_10000_positions": {"records": 1, "subjects": 1},
        }
        record = self._desk.record(governance, [first, bad])
        return [self._desk.sign(governance, record, self._desk.signers(governance))]

    def _key_of_city(self) -> str:
        return base64_of(author_signer("iizuka-city", 0).public_key.data)

    def _small_order(self, governance: Governance) -> list[bytes]:
        key = {"suite": "ed25519", "public_key": SMALL_ORDER_KEY}
        record = self._desk.record(governance, [{"do": "enrol-key", "author": "kaga-city", "key": key}])
        return [self._desk.sign(governance, record, self._desk.signers(governance))]

    def _false_announcement(self, governance: Governance) -> list[bytes]:
        """A record of registry `governance` by a site that is none of the two kinds, and one by an institution."""
        host = self._heap.one_of([host for host in self._sites.values() if host.votes])
        signer: Signer | None = (
            host.signer if self._heap.chance(0.6) else self._stolen.any_key(governance, "kaga-city")
        )
        if signer is None:
            return []
        content = self._heap.one_of(
            [b"", b'{"format":"sento-site-rules-1","site":"jp-fukuoka","rules":[9],"release":"9"}']
        )
        kind = self._heap.one_of(["act", "site-rules"])
        header = self._stolen.header(
            governance, "kaga-city", signer, registry="governance", kind=kind, content=content, key_epoch=0
        )
        return [self._stolen.sign(header, signer)]


def _nobody(number: int, epoch: int, answers: list[tuple[int, int, bytes]], error: int) -> None:
    """Nobody waits."""


def _unheard(outcome: object) -> None:
    """Nobody waits for what becomes of the block."""
