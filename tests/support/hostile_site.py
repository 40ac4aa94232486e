"""The ground of the tests of malice: three real sites of which the first is hostile, clients that ask it first, its keys and its ordering member in the
test's hands, and receipts that must stand at the honest sites whatever it does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from honest_sites import HOSTILE, HonestSites
from hostile_node import hostile_node_command, order_evil
from live_sites import AUTHOR, running_sites
from sento_client import SentoClient
from sento_client.cli.main import main
from sento_client.governing.client import GoverningClient
from sento_client.governing.proposal import act_content, make_proposal
from sento_client.keyfiles import read_signing_key
from sento_client.outbox.keeping import Counts
from sento_drill.cluster import LocalCluster
from sento_drill.config_files import toml_text
from sento_drill.plan import OFFICERS, OFFICERS_THRESHOLD
from sento_drill.processes import SiteProcesses
from sento_drill.waiting import until
from sento_node.keyfile import read_ml_dsa_44_signer
from sento_node.ordering.etcd.client import EtcdClient
from sento_node.ordering.etcd.log import EtcdLog
from sento_proto.block import Lane, sign_block
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import (
    Checkpoint,
    SiteSigners,
    cosign_all,
    sign_note,
)
from sento_proto.errors import SentoError
from sento_proto.governance.state import from_genesis
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.receipt import Receipt
from sento_proto.v1 import common_pb2

KIT = Path(__file__).resolve().parents[2] / "client" / "audit" / "audit_kit.py"
PERSON = "900000000115"
FACT: dict[str, Any] = {"registry": "residency", "kind": "residence/entry", "subject": PERSON}
WHY: dict[str, Any] = {"purpose": "address proof", "case_number": "2026-118"}
QUOTA_BYTES = 1 << 31
NO_PROOF = "no transferable proof: "
ALONE_MS = 2_000
"""For questions that only the hostile site is asked: nobody waits long for a better answer of the same site."""
SIGNING = OFFICERS[:OFFICERS_THRESHOLD]


@asynccontextmanager
async def running_ground() -> AsyncIterator[HostileGround]:
    """Three sites, of which the first may be told to do evil."""

    def one_is_hostile(cluster: LocalCluster) -> None:
        files = next(site for site in cluster.world.sites if site.name == HOSTILE)
        command = hostile_node_command(files.config)
        cluster.processes[HOSTILE] = SiteProcesses(HOSTILE, files.directory, command)

    async with running_sites(arrange=one_is_hostile) as sites:
        yield HostileGround(sites)


@dataclass(slots=True)
class HostileGround(HonestSites):
    """What the tests of malice share."""

    _configs: int = 0
    _facts: int = 0

    @contextmanager
    def evil(self, **evils: object) -> Iterator[None]:
        """The hostile site does this inside of the block. A dash in a name is written as an underscore."""
        directory = self.sites.files(HOSTILE).directory
        order_evil(directory, {name.replace("_", "-"): what for name, what in evils.items()})
        try:
            yield
        finally:
            order_evil(directory, {})

    # -- who has the hostile site's keys and its member ---------------------------------------------------------------

    @property
    def signers(self) -> SiteSigners:
        """The hostile site's keys."""
        directory = self.sites.files(HOSTILE).directory
        return SiteSigners(
            read_signing_key(directory / "site.key"), read_ml_dsa_44_signer(directory / "site-ml-dsa.key")
        )

    def note(self, checkpoint: Checkpoint) -> Checkpoint:
        """A checkpoint under the hostile site's name alone."""
        bare = checkpoint._replace(signatures=())
        lines = (
            sign_note(bare, HOSTILE, self.signers.ed25519),
            *cosign_all(bare, HOSTILE, self.signers, 1_767_225_600),
        )
        return bare._replace(signatures=lines)

    def member(self, site: str = HOSTILE) -> str:
        """The gRPC target of a site's ordering member."""
        return f"unix:{self.sites.data(site) / 'ordering/epoch-0000/run/client:1'}"

    @asynccontextmanager
    async def log(self, site: str = HOSTILE) -> AsyncIterator[EtcdLog]:
        """A site's ordering log, as whoever runs the site reaches it."""
        log = EtcdLog(self.member(site), quota_bytes=QUOTA_BYTES)
        try:
            yield log
        finally:
            await log.close()

    @asynccontextmanager
    async def etcd(self, site: str = HOSTILE) -> AsyncIterator[EtcdClient]:
        """The same, past all that our own code would refuse."""
        client = EtcdClient(self.member(site))
        try:
            yield client
        finally:
            await client.close()

    # -- users ----------------------------------------------------------------------------------------------------------

    def client(
        self, place: Path, *, first: str = HOSTILE, only: bool = False, who: str = AUTHOR
    ) -> SentoClient:
        """An institution's client with outbox, receipts and trust of its own in `place`; it asks `first` first, or nobody else."""
        place.mkdir(exist_ok=True)
        directory = self.sites.world.institution(who).directory
        value = tomllib.loads((directory / "sento.toml").read_text(encoding="utf-8"))
        sites = sorted(value.pop("sites"), key=lambda site: str(site["name"]) != first)
        tables = {name: table for name, table in value.items() if isinstance(table, dict)}
        head = {name: text for name, text in value.items() if not isinstance(text, dict)}
        tables |= {
            "outbox": {"directory": str(place / "outbox")},
            "receipts": {"directory": str(place / "receipts")},
        }
        self._configs += 1
        config = directory / f"malice-{self._configs}.toml"
        config.write_text(toml_text(head, tables, {"sites": sites[:1] if only else sites}), encoding="utf-8")
        return SentoClient.open(config)

    def fact(self) -> str:
        """A fact that nobody wrote yet."""
        self._facts += 1
        return f"fact {self._facts}"

    async def write(self, sento: SentoClient, count: int = 3) -> list[Receipt]:
        """So many records and their receipts, which are held against the honest sites at the end."""
        done = await asyncio.gather(
            *(sento.write(**FACT, fact=self.fact(), content={"n": n}) for n in range(count))
        )
        new = [await sento.receipt(one) for one in done]
        self.receipts += new
        return new

    # -- officers -------------------------------------------------------------------------------------------------------

    async def act(self, *changes: dict[str, object]) -> int:
        """An act that as many officers sign as are needed; its position."""
        async with GoverningClient.open(self.sites.world.officer(SIGNING[0]).config) as client:
            governance = (await client.follow()).governance
            now_ms = client.wall_ms
            proposal = make_proposal(
                governance.ledger_id,
                client.epoch,
                act_content("the law", changes),
                governance.last_act,
                record_id=uuid7(now_ms, client.random_bytes(RANDOM_BYTES)),
                time_ms=now_ms,
            )
            for officer in SIGNING:
                key = self.sites.world.officer(officer).directory / "signing.key"
                proposal = proposal.signed(read_signing_key(key))
            return (await client.submit(proposal)).position

    def invented_act(self) -> str:
        """An act that no officer signed, as the hostile site would show it: it makes itself the receipt set."""
        governance = from_genesis(self.sites.world.genesis)
        change = {"do": "set-receipt-set", "sites": [HOSTILE], "quorum": 1}
        proposal = make_proposal(
            governance.ledger_id,
            0,
            act_content("nobody's", [change]),
            governance.last_act,
            record_id=uuid7(1_767_225_600_000, bytes(RANDOM_BYTES)),
            time_ms=1_767_225_600_000,
        )
        _, signature = proposal.signed(self.signers.ed25519).officers[0]
        record = proposal.record
        proof = common_pb2.SubmissionProof(
            author_key_id=bytes(16),
            count=1,
            officers=[
                common_pb2.OfficerFrame(
                    officer_key_id=self.signers.ed25519.public_key.key_id,
                    signature=common_pb2.SignatureFrame(suite=signature.suite, data=signature.data),
                )
            ],
        )
        stored = common_pb2.StoredRecord(
            position=1_000_000,
            header=record.header_bytes,
            payload_hash=record.payload_hash,
            record_hash=record.record_hash,
            link=next_link(FIRST_LINK, record.record_hash),
            submission=proof,
        )
        return base64.b64encode(stored.SerializeToString()).decode()

    # -- proofs -----------------------------------------------------------------------------------------------------------

    async def proven(self, data: bytes, kind: str, place: Path) -> str:
        """The proof is judged by the command and by the audit kit, each from the file and the genesis file alone; how the table names it."""
        file, genesis = place / f"{kind}.json", place / "genesis.json"
        file.write_bytes(data)
        genesis.write_bytes((self.sites.world.institution(AUTHOR).directory / "genesis.json").read_bytes())

        def judge() -> tuple[str, str]:
            config = str(place / "none.toml")
            arguments = ["--config", config, "fraud", "verify", str(file), "--genesis", str(genesis)]
            said = CliRunner().invoke(main, arguments)
            assert said.exit_code == 0, said.output
            command = [sys.executable, str(KIT), "--genesis", str(genesis), str(file)]
            kit = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=60)
            assert kit.returncode == 0, kit.stdout + kit.stderr
            return said.output, kit.stdout

        said, kit = await asyncio.to_thread(judge)
        assert f"{HOSTILE} signed" in said.replace("\n", " "), said
        assert HOSTILE in kit, kit
        assert json.loads(data)["kind"] == kind
        return f"`{kind}`"

    def fraud_files(self, place: Path) -> list[bytes]:
        """What a client found and kept."""
        return [path.read_bytes() for path in sorted((place / "receipts").glob("fraud-*.json"))]


async def refused_with(call: object) -> SentoError:
    """The error that a call is expected to end with."""
    try:
        answer = await call  # type: ignore[misc]
    except SentoError as error:
        return error
    raise AssertionError(f"the call was answered: {str(answer)[:200]}")


def draft(ground: HostileGround) -> dict[str, Any]:
    """A new fact."""
    return {**FACT, "fact": ground.fact(), "content": {"n": 1}}


async def settled(sento: SentoClient) -> None:
    """Wait until the outbox is empty: everything has its receipt."""

    async def empty() -> bool:
        return sento.outbox == Counts(0, 0)

    await until(empty, deadline_s=30, what="something is still in the outbox")


async def at_hostile(sento: SentoClient, position: int) -> SentoError:
    """How reading a record ends where nobody but the hostile site is asked."""
    return await refused_with(sento.read(position, site=HOSTILE, deadline_ms=ALONE_MS, **WHY))


def receipt_set(*sites: str) -> dict[str, object]:
    """The change that makes these the receipt set."""
    return {"do": "set-receipt-set", "sites": list(sites), "quorum": 2}


async def order(ground: HostileGround, k: int, *submissions: bytes) -> int:
    """The hostile site orders what nobody gave it, in a well-formed block of a lane of its own; the block's number."""
    lane = Lane(HOSTILE, 900, k)
    data = sign_block(ground.known.ledger_id, 0, lane, 1, submissions, ground.signers.ed25519)
    async with ground.log() as log:
        return (await log.append(str(lane), 1, data, timeout_ms=5_000)).number
