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
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from hostile_node import hostile_node_command, order_evil
from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites, writes_again
from raw_calls import CALL_TIMEOUT_S, all_records
from sento_client import SentoClient
from sento_client.cli.main import main
from sento_client.governing.client import GoverningClient
from sento_client.governing.proposal import act_content, make_proposal
from sento_client.keyfiles import read_signing_key
from sento_drill.cluster import LocalCluster
from sento_drill.config_files import toml_text
from sento_drill.places import PLACES
from sento_drill.plan import OFFICERS, OFFICERS_THRESHOLD
from sento_drill.processes import SiteProcesses
from sento_drill.waiting import until
from sento_node.keyfile import read_ml_dsa_44_signer
from sento_node.ordering.etcd.client import EtcdClient
from sento_node.ordering.etcd.log import EtcdLog
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import (
    Checkpoint,
    SiteSigners,
    cosign_all,
    cosigners,
    decode_checkpoint,
    sign_note,
)
from sento_proto.erasure_certificate import ErasureCertificate, certificate_holds, decode_certificate
from sento_proto.errors import SentoError
from sento_proto.fraud import KnownSites
from sento_proto.governance.state import from_genesis
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.merkle import verify_consistency, verify_inclusion
from sento_proto.receipt import Receipt, verify_receipt
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2, sync_pb2

HOSTILE, HONEST, OTHER = (place.site for place in PLACES[:3])
"""The hostile site is the first in everybody's list, the other sites' as well."""
KIT = Path(__file__).resolve().parents[2] / "client" / "audit" / "audit_kit.py"
PERSON = "900000000115"
FACT: dict[str, Any] = {"registry": "residency", "kind": "residence/entry", "subject": PERSON}
WHY: dict[str, Any] = {"purpose": "address proof", "case_number": "2026-118"}
QUOTA_BYTES = 1 << 31
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
class HostileGround:
    """What the tests of malice share."""

    sites: LiveSites
    honest: tuple[str, ...] = (HONEST, OTHER)
    _configs: int = 0
    _facts: int = 0
    receipts: list[Receipt] = field(default_factory=list)

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

    # -- what must hold at the end ----------------------------------------------------------------------------------------

    async def newest(self, site: str, at_least_size: int = 1) -> Checkpoint:
        """A site's newest quorum checkpoint, once it has that size."""

        async def look() -> Checkpoint | None:
            async with self.sites.caller(AUTHOR, site) as caller:
                try:
                    reply = await caller.registry.Checkpoint(
                        client_pb2.CheckpointRequest(), timeout=CALL_TIMEOUT_S
                    )
                except Exception:  # noqa: BLE001 - none yet, or the site is not there: asked again
                    return None
            note = decode_checkpoint(reply.checkpoint)
            return note if note.size >= at_least_size else None

        return await until(look, deadline_s=WAIT_S, what=f"{site} has no checkpoint of {at_least_size}")

    async def lost(self, *sites: str) -> str:
        """How many of the receipts so far do not verify at the honest sites, as the table says it."""
        receipts, missing = self.receipts, set()
        assert receipts
        governance = from_genesis(self.sites.world.genesis)
        at_least = max(receipt.checkpoint.size for receipt in receipts)
        for site in sites or self.honest:
            note = await self.newest(site, at_least)
            for number, receipt in enumerate(receipts):
                request = client_pb2.ProofRequest(
                    size=note.size,
                    positions=[receipt.position],
                    consistent_with_size=receipt.checkpoint.size,
                )
                async with self.sites.caller(AUTHOR, site) as caller:
                    reply = await caller.registry.Proof(request, timeout=CALL_TIMEOUT_S)
                older, path = receipt.checkpoint, tuple(reply.inclusions[0].path)
                holds = (
                    verify_receipt(receipt, governance).holds
                    and verify_inclusion(receipt.record_hash, receipt.position, note.size, path, note.root)
                    and verify_consistency(
                        older.size, older.root, note.size, note.root, tuple(reply.consistency)
                    )
                )
                if not holds:
                    missing.add(number)
        assert not missing, f"receipted and lost: {missing}"
        count = len(receipts)
        self.receipts.clear()
        return f"{len(missing)} of {count}"

    async def cosigned_by_hostile(self, at_least_size: int) -> Checkpoint:
        """A quorum checkpoint that the hostile site's cosignature is part of; somebody writes until there is one."""
        keys = from_genesis(self.sites.world.genesis).site_keys
        size = at_least_size

        async def look() -> Checkpoint | None:
            nonlocal size
            note = await self.newest(HONEST, size)
            if HOSTILE in cosigners(note, keys):
                return note
            await writes_again(self.sites, HOSTILE)
            size = note.size + 1
            return None

        return await until(look, deadline_s=WAIT_S, what="the hostile site cosigns nothing")

    async def make_anew(self, site: str) -> None:
        """Stop a site, ask for a new ledger from nothing, and start it."""
        command = [
            sys.executable, "-m", "sento_node.cli", "rebuild", "--config", str(self.sites.files(site).config), "--from-nothing",
        ]  # fmt: skip
        await asyncio.to_thread(self.sites.cluster.processes[site].stop)
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
        self.sites.cluster.start(site)

    async def certificate_of(self, order: int) -> ErasureCertificate:
        """What the hostile site signed about an order, which verifies."""

        async def look() -> ErasureCertificate | None:
            async with self.sites.operator(HOSTILE) as operator:
                reply = await operator.admin.Erasures(admin_pb2.ErasuresRequest(), timeout=CALL_TIMEOUT_S)
            signed = [decode_certificate(data) for data in reply.certificates]
            assert all(
                certificate_holds(one, self.known.ledger_id, self.known.keys[HOSTILE]) for one in signed
            )
            return next((one.content for one in signed if one.content.order == order), None)

        return await until(look, deadline_s=WAIT_S, what="no certificate")

    async def payload_at(self, site: str, record_hash: bytes) -> sync_pb2.FetchedPayload:
        """What a site gives another one that asks for a payload."""
        speaker = next(name for name in self.honest if name != site)
        async with self.sites.as_site(speaker, site) as caller:
            request = sync_pb2.FetchPayloadsRequest(record_hashes=[record_hash])
            answers = caller.sync.FetchPayloads(request, timeout=CALL_TIMEOUT_S)
            return await anext(aiter(answers))

    async def payload_gone(self, site: str, payload: bytes) -> None:
        """Wait until a payload is in no file of a site's ledger."""
        needle, ledger = payload[-64:], self.sites.data(site) / "ledger"

        async def gone() -> bool:
            files = [path for path in ledger.rglob("*") if path.is_file()]
            return not any(needle in path.read_bytes() for path in files if path.exists())

        await until(gone, deadline_s=WAIT_S, what=f"{site} still has the payload")

    async def same_blocks(self, numbers: Sequence[int]) -> list[sync_pb2.BlockEntry]:
        """These blocks as the honest sites' ledgers have them, which must be the same."""
        first = min(numbers)

        async def pulled(site: str, speaker: str) -> dict[int, sync_pb2.BlockEntry] | None:
            found: dict[int, sync_pb2.BlockEntry] = {}
            async with self.sites.as_site(speaker, site) as caller:
                async for chunk in caller.sync.Pull(
                    sync_pb2.PullRequest(after_block=first - 1), timeout=CALL_TIMEOUT_S
                ):
                    found |= {block.number: block for block in chunk.blocks}
            return found if found.keys() >= set(numbers) else None

        async def both() -> list[dict[int, sync_pb2.BlockEntry]] | None:
            one, other = await asyncio.gather(pulled(HONEST, OTHER), pulled(OTHER, HONEST))
            return None if one is None or other is None else [one, other]

        one, other = await until(both, deadline_s=WAIT_S, what="no checkpoint covers these blocks")
        assert [one[number] for number in numbers] == [other[number] for number in numbers]
        return [one[number] for number in numbers]

    async def hashes(self, site: str = HONEST) -> dict[int, bytes]:
        """Position -> record hash of what the author may see at a site."""
        async with self.sites.caller(AUTHOR, site) as caller:
            return await all_records(caller)

    # -- proofs -----------------------------------------------------------------------------------------------------------

    @property
    def known(self) -> KnownSites:
        """By whose keys proofs are judged."""
        return KnownSites.of(from_genesis(self.sites.world.genesis))

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
