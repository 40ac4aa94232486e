"""Officers govern a running ledger with `sento govern`, at a real site: what an act changes holds from its position on, and clients follow it by themselves."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from live_sites import AUTHOR, ONE_SITE, READER, LiveSites, running_sites
from sento_client import SentoClient
from sento_client.cli.main import main
from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.governing.proposal import act_content, make_proposal
from sento_client.keyfiles import write_signing_key
from sento_client.opening import open_installation
from sento_client.results import WriteError
from sento_proto.errors import Code, SentoError
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.keys import Ed25519Signer

pytestmark = pytest.mark.asyncio(loop_scope="module")
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")
NEW_SEED = bytes(range(32))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(ONE_SITE) as running:
        yield running


async def govern(sites: LiveSites, who: str, *arguments: str, code: int = 0) -> Result:
    """`sento govern` at an officer's computer."""
    config = str(sites.world.officer(who).config)
    result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, "govern", *arguments])
    assert result.exit_code == code, result.output
    assert result.output.startswith("TRAINING ledger sento-one")
    return result


async def enact(sites: LiveSites, act: Path, reason: str, *arguments: str) -> Result:
    """Propose, sign by three, submit."""
    await govern(sites, "ciso", "propose", "--reason", reason, "--out", str(act), *arguments)
    for officer in OFFICERS:
        await govern(sites, officer, "sign", str(act), "--yes")
    return await govern(sites, "ciso", "submit", str(act))


async def write(sento: SentoClient, fact: str) -> int:
    done = await sento.write(
        registry="tax", kind="tax/assessment", subject="1", fact=fact, content={"yen": 1}
    )
    return done.position


async def test_three_officers_permit_and_withdraw_and_the_author_is_refused_from_there_on(
    sites: LiveSites, tmp_path: Path
) -> None:
    """With two signatures nothing is sent; with three the ministry is refused at once, and permitted again by the next act."""
    author = sites.world.institution(AUTHOR).config
    act = tmp_path / "act.json"
    async with SentoClient.open(author) as sento:
        await write(sento, "before")
        proposed = await govern(
            sites, "ciso", "propose", "--reason", "closed", "--out", str(act), "withdraw", AUTHOR, "write", "tax:*"
        )  # fmt: skip
        assert "iizuka-city may no longer write all of tax" in proposed.output
        for officer in OFFICERS[:2]:
            await govern(sites, officer, "sign", str(act), "--yes")
        short = await govern(sites, "ciso", "submit", str(act), code=1)
        assert "needs 3 of 5 officers, has 2 (digital-minister, ciso): missing one of" in short.output
        twice = await govern(sites, "deputy-digital-minister", "sign", str(act), "--yes", code=1)
        assert "digital-minister signed this already" in twice.output
        await write(sento, "still")
        await govern(sites, OFFICERS[2], "sign", str(act), "--yes")
        done = await govern(sites, "ciso", "submit", str(act))
        assert "The act stands at position" in done.output
        again = await govern(sites, "ciso", "submit", str(act))
        assert "stands already at position" in again.output
        with pytest.raises(WriteError) as refused:
            async with asyncio.timeout(30):
                await sento.write(
                    registry="tax", kind="tax/assessment", subject="1", fact="after", content={}, deadline_ms=20_000
                )  # fmt: skip
        assert refused.value.code is Code.NOT_PERMITTED
    await enact(sites, tmp_path / "again.json", "open again", "permit", AUTHOR, "write", "tax:*")
    async with SentoClient.open(author) as sento:
        await write(sento, "open")
        governance = await sento.governance()
        assert governance.acts == 2
        assert (author.parent / "trust.json").exists()


async def test_a_key_enrolled_by_an_act_signs_verifies_and_outlives_its_revocation(
    sites: LiveSites, tmp_path: Path
) -> None:
    """The installation with the new key opens only once the act stands; a reader that knew nothing follows by itself; revoked, its records still verify."""
    files = sites.world.institution(AUTHOR)
    new_key = Ed25519Signer(NEW_SEED).public_key
    config = files.directory / "rotated.toml"
    config.write_text(files.config.read_text().replace('"signing.key"', '"new.key"'))
    write_signing_key(files.directory / "new.key", NEW_SEED)
    assert open_installation(config).misfit is not None
    with pytest.raises(Exception, match="NOT_ENROLLED"):
        async with SentoClient.open(config):
            pass
    auditor = SentoClient.open(sites.world.institution("auditor-board").config)
    async with auditor:
        change = {
            "do": "enrol-key",
            "author": AUTHOR,
            "key": {"suite": "ed25519", "public_key": _base64(new_key.data)},
        }
        file = tmp_path / "changes.json"
        file.write_text(json.dumps({"changes": [change]}))
        await enact(sites, tmp_path / "enrol.json", "new laptop", "--file", str(file))
        async with SentoClient.open(config) as sento:
            position = await write(sento, "by the new key")
        await _reads(auditor, position)
        await enact(
            sites, tmp_path / "revoke.json", "stolen", "revoke-key", AUTHOR, new_key.key_id.hex(), str(position)
        )  # fmt: skip
        async with SentoClient.open(config) as sento:
            with pytest.raises(WriteError) as refused:
                await write(sento, "by the thief")
            assert refused.value.code is Code.KEY_ENDED
        await _reads(auditor, position)
    shown = await govern(sites, "ciso", "show")
    assert f"suspect from position {position} on" in shown.output
    earlier = await govern(sites, "ciso", "show", "--at", str(position))
    assert "REVOKED" not in earlier.output


async def test_an_overtaken_proposal_is_refused_with_who_changed_what(
    sites: LiveSites, tmp_path: Path
) -> None:
    late = tmp_path / "late.json"
    await govern(sites, "ciso", "propose", "--reason", "late", "--out", str(late), "add-registry", "land")
    await enact(sites, tmp_path / "first.json", "first", "add-registry", "vehicles")
    refused = await govern(sites, "digital-minister", "sign", str(late), "--yes", code=1)
    assert "STALE" in refused.output
    assert "There is a registry vehicles" in refused.output


async def test_the_site_itself_says_in_words_why_an_act_is_refused(sites: LiveSites) -> None:
    """A program that skips the dry run gets the sentence from the site, as of now."""
    place = GoverningClient.open(sites.world.officer("ciso").config)
    async with place as client:
        followed = await client.follow()
        act = make_proposal(
            followed.governance.ledger_id,
            client.epoch,
            act_content("no", [{"do": "retire-officer", "name": "nobody"}]),
            followed.governance.last_act,
            record_id=uuid7(client.wall_ms, client.random_bytes(RANDOM_BYTES)),
            time_ms=client.wall_ms,
        )
        signers = [GoverningClient.open(sites.world.officer(who).config).place.signer() for who in OFFICERS]
        for signer in signers[:2]:
            act = act.signed(signer)
        with pytest.raises(SentoError, match="2 officers signed and 3 are needed") as few:
            await client.submit(act)
        assert few.value.code is Code.TOO_FEW_OFFICERS
        with pytest.raises(SentoError, match="nobody is not an officer") as unfit:
            await client.submit(act.signed(signers[2]))
        assert unfit.value.code is Code.ACT_REFUSED
        usage = {use.author: use for use in await client.usage()}
        assert usage[AUTHOR].records > 0
        assert usage[AUTHOR].full_at is None


async def test_an_institution_looks_on_and_may_not_submit(sites: LiveSites) -> None:
    config = sites.world.institution(READER).config
    async with GoverningClient.open(config) as client:
        followed: Followed = await client.follow()
        assert followed.governance.acts >= 1
        with pytest.raises(SentoError) as refused:
            await client.usage()
        assert refused.value.code is Code.IDENTITY_REFUSED


async def _reads(auditor: SentoClient, position: int) -> None:
    version = await auditor.read(position, purpose="audit", case_number="1")
    assert version.author == AUTHOR


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
