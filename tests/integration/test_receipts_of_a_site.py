"""Receipts of a real site: written over mutual TLS, proven by its checkpoints, exported, and verified by the command alone when the site is gone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner

from live_sites import AUTHOR, ONE_SITE, running_sites
from outbox_at_work import until
from sento_client import Draft, ReceiptJudge, SentoClient, WriteError
from sento_client.cli.main import main
from sento_client.outbox.keeping import Counts

RECORDS = 60


def run(config: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["--config", str(config), *arguments])
    return done.exit_code, done.output


async def test_receipts_of_a_real_site_verify_offline_by_the_trust_file_that_travels_with_them(
    tmp_path: Path,
) -> None:
    out, trust = tmp_path / "receipts", tmp_path / "trust.json"
    async with running_sites(ONE_SITE) as sites:
        config = sites.world.institution(AUTHOR).config
        async with SentoClient.open(config) as sento:
            drafts = [
                Draft("residency", "residence/entry", "900000000115", f"fact {n}", b"1")
                for n in range(RECORDS)
            ]
            results = await sento.write_many(drafts)
            assert not any(isinstance(result, WriteError) for result in results)
            await until(lambda: sento.outbox == Counts(0, 0))
        code, said = await asyncio.to_thread(run, config, "govern", "trust", "--out", str(trust))
        assert code == 0, said
        code, said = await asyncio.to_thread(run, config, "--json", "receipt", "export", str(out))
        assert code == 0, said
        arguments = (
            "--with-record",
            "--purpose",
            "test",
            "--case",
            "1",
            "--out",
            str(tmp_path / "one.receipt.json"),
        )
        position = str(results[0].position)  # type: ignore[union-attr]
        code, said = await asyncio.to_thread(run, config, "receipt", "get", position, *arguments)
        assert code == 0, said
    assert json.loads(trust.read_bytes())["format"] == "sento-trust-2"
    judge = ReceiptJudge.of_file(trust)
    assert judge.proven_to is not None
    files = sorted(out.iterdir())
    assert len(files) >= RECORDS, "one a record, and one for each key that was made"
    for file in files:
        _, verified = judge.verify(file.read_bytes())
        assert verified.why == ""
    code, said = run(
        tmp_path / "none.toml", "receipt", "verify", str(tmp_path / "one.receipt.json"), "--trust", str(trust)
    )
    assert code == 0, said
    assert f"Written by {AUTHOR}: residence/entry" in said
