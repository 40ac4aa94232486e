"""Two embassies that outlived their voting sites, behind the client's transport: they answer surveys, begin an epoch from a signed plan, and prove what stands.

Judged by the shared decisions and real signatures; there is no node behind it. The voting sites do not answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn, cast

from receipts_made import TIME_S
from sento_client.cli.app import App
from sento_client.governing.client import GoverningClient
from sento_client.governing.place import open_place
from sento_client.keyfiles import write_signing_key
from sento_client.testing.world import derived
from sento_client.transport import Method, ReplyT, RequestT, StreamListener
from sento_proto import merkle
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint
from sento_proto.epoch_plan import (
    EpochPlan,
    PlanRefused,
    act_bytes,
    bytes_behind,
    check_plan,
    decode_plan,
    plan_hash,
)
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import from_genesis
from sento_proto.submission import Submission, decode_submission
from sento_proto.survey import Survey
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2, governance_pb2
from survivors import EMBASSY, SECOND, VOTING, Ruins


class SurvivorSites:
    """A `Transport`. `surveys`: what each site says; `silent`: sites that do not answer; `refused`: that give no survey; `majority`: the words with which a
    plan is refused for a majority that a site reaches; `lies`: sites that say of every record that it does not stand; `starts`: how many looks a site
    takes from beginning to serving."""

    def __init__(self, ruins: Ruins, *surveys: Survey) -> None:
        self.ruins = ruins
        self.surveys = {survey.site: survey for survey in surveys}
        self.silent = set(VOTING)
        self.refused: set[str] = set()
        self.majority = ""
        self.lies: set[str] = set()
        self.plans: dict[str, EpochPlan] = {}
        self.begun_calls = 0
        self.starts = 1
        self.looks = 0
        self.hashes = ruins.ledger.hashes[:30]
        self.acts: list[Submission] = []

    @property
    def sites(self) -> tuple[str, ...]:
        return (*VOTING, SECOND, EMBASSY)

    def open_write(self, site: str, listener: StreamListener) -> NoReturn:
        raise AssertionError

    def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, silence_ms: int | None
    ) -> AsyncIterator[ReplyT]:
        raise AssertionError

    async def close(self) -> None:
        """Nothing is open."""

    async def call(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int
    ) -> ReplyT:
        """One question."""
        if site in self.silent:
            raise SentoError(Code.UNREACHABLE, f"{site}: nobody answers")
        match request:
            case admin_pb2.SurveyRequest():
                if site in self.refused:
                    raise SentoError(Code.IDENTITY_REFUSED, f"{site}: role author")
                data = self.ruins.file(self.surveys[site]).data
                return cast("ReplyT", admin_pb2.SurveyReply(survey=data))
            case admin_pb2.BeginEpochRequest():
                return cast("ReplyT", self._begin(site, request))
            case admin_pb2.StatusRequest():
                return cast("ReplyT", self._status(site))
            case admin_pb2.StandingRequest():
                return cast("ReplyT", self._standing(site, request))
            case governance_pb2.ActsRequest():
                return cast("ReplyT", self._acts(request))
            case client_pb2.CheckpointRequest():
                return cast("ReplyT", client_pb2.CheckpointReply(checkpoint=self._checkpoint()))
            case client_pb2.ProofRequest():
                return cast("ReplyT", self._proof(request))
        raise SentoError(Code.IDENTITY_REFUSED)

    def _begin(self, site: str, request: admin_pb2.BeginEpochRequest) -> admin_pb2.BeginEpochReply:
        plan = decode_plan(request.plan)
        if site in self.plans:
            if plan_hash(self.plans[site]) != plan_hash(plan):
                raise SentoError(Code.PLAN_NOT_FIT, "Two plans must not be carried out.")
            return admin_pb2.BeginEpochReply(words="Begun before.", begun_before=True)
        try:
            check_plan(plan, from_genesis(self.ruins.world.genesis))
        except PlanRefused as error:
            raise SentoError(Code.PLAN_NOT_FIT, str(error)) from None
        if self.majority:
            raise SentoError(Code.MAJORITY_ANSWERS, self.majority)
        if not request.dry_run:
            self.begun_calls += 1
            self.plans[site] = plan
            self._open(plan)
        return admin_pb2.BeginEpochReply(words="It fits.", set_aside=0)

    def _open(self, plan: EpochPlan) -> None:
        if not self.acts:
            self.acts = [decode_submission(data) for data in (act_bytes(plan), *bytes_behind(plan))]
            self.hashes = self.ruins.ledger.hashes[: plan.parent.size]
            self.hashes += [act.records[0].record_hash for act in self.acts]

    def _status(self, site: str) -> admin_pb2.StatusReply:
        plan = self.plans.get(site)
        if plan is None:
            return admin_pb2.StatusReply(ledger_id=self.ruins.world.ledger_id, state="no-majority")
        self.looks += 1
        return admin_pb2.StatusReply(
            ledger_id=plan.ledger_id,
            epoch=plan.epoch,
            epoch_plan=plan_hash(plan),
            state="serving" if self.looks > self.starts else "catching-up",
            applied_size=len(self.hashes),
        )

    def _standing(self, site: str, request: admin_pb2.StandingRequest) -> admin_pb2.StandingReply:
        reply = admin_pb2.StandingReply(epoch=self._epoch, size=len(self.hashes))
        for record_hash in request.record_hashes:
            stands = record_hash in self.hashes and site not in self.lies
            reply.places.add(stands=stands, position=self.hashes.index(record_hash) if stands else 0)
        return reply

    @property
    def _epoch(self) -> int:
        return max((plan.epoch for plan in self.plans.values()), default=0)

    def _acts(self, request: governance_pb2.ActsRequest) -> governance_pb2.ActsReply:
        after = request.after_position if request.HasField("after_position") else -1
        reply = governance_pb2.ActsReply(as_of=common_pb2.AsOf(epoch=self._epoch, size=len(self.hashes)))
        first = len(self.hashes) - len(self.acts)
        for position, act in enumerate(self.acts, first):
            if position > after:
                reply.records.append(_stored(position, act))
        return reply

    def _checkpoint(self) -> bytes:
        signers = self.ruins.world.site_signers
        counted = (EMBASSY, SECOND) if self.plans else VOTING
        plain = Checkpoint(
            self.ruins.world.ledger_id, self._epoch, len(self.hashes), merkle.root_of(self.hashes)
        )
        lines = tuple(cosign(plain, site, signers[site], TIME_S) for site in counted)
        return encode_checkpoint(plain._replace(signatures=lines))

    def _proof(self, request: client_pb2.ProofRequest) -> client_pb2.ProofReply:
        read = merkle.subtree_reader(self.hashes)
        reply = client_pb2.ProofReply(size=request.size)
        for position in request.positions:
            path = merkle.inclusion_proof(read, position, request.size)
            reply.inclusions.add(position=position, record_hash=self.hashes[position], path=path)
        if request.consistent_with_size:
            reply.consistency.extend(
                merkle.consistency_proof(read, request.consistent_with_size, request.size)
            )
        return reply


def _stored(position: int, act: Submission) -> common_pb2.StoredRecord:
    record = act.records[0]
    stored = common_pb2.StoredRecord(
        position=position, header=record.header_bytes, payload_hash=record.payload_hash, record_hash=record.record_hash
    )  # fmt: skip
    stored.submission.author_key_id, stored.submission.count, stored.submission.epoch = (
        bytes(16),
        1,
        act.epoch,
    )
    for key_id, signature in act.officers:
        frame = stored.submission.officers.add(officer_key_id=key_id)
        frame.signature.suite, frame.signature.data = signature
    return stored


def officer_files(directory: Path, ruins: Ruins, officer: str) -> Path:
    """An officer's `sento.toml` with its keys; TLS files are named and not made."""
    directory.mkdir()
    (directory / "genesis.json").write_bytes(ruins.world.genesis_bytes)
    write_signing_key(directory / "signing.key", derived(ruins.world.genesis.name, "officer", officer))
    sites = "".join(
        f'[[sites]]\nname = "{site}"\naddress = "127.0.0.1:1"\n' for site in (*VOTING, SECOND, EMBASSY)
    )
    config = directory / "sento.toml"
    config.write_text(
        f'genesis = "genesis.json"\nofficer = "{officer}"\n[tls]\nca = "ca.pem"\ncertificate = "client.pem"\nkey = "client.key"\n'
        f'[keys]\nsigning = "signing.key"\n[limits]\ndeadline_ms = 2000\n{sites}'
    )
    return config


def app_over(sites: SurvivorSites) -> App:
    """The command line over these sites."""
    return App(open_governing=lambda path: GoverningClient(open_place(path), transport=lambda _: sites))
