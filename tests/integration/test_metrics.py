"""A real node's metrics as Prometheus reads them: they follow what was written and what was refused, and name no record, no subject, no author."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from live_sites import AUTHOR, ONE_SITE, WAIT_S, LiveSites, running_sites
from raw_calls import PURPOSE, WriteStream, codes, refusal_of
from sento_drill.waiting import until
from sento_drill.world import World
from sento_proto import limits
from sento_proto.errors import Code
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Page:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The sample's value; 0 for a counter that has not begun."""
        return self.values.get((name, frozenset(labels.items())), 0.0)


def fetch(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
        text: bytes = response.read()
    return text.decode("utf-8")


async def scrape(sites: LiveSites, site: str | None = None) -> Page:
    address = sites.files(site or sites.names[0]).metrics_address
    return Page(await asyncio.to_thread(fetch, address))


async def scraped(sites: LiveSites, condition: Callable[[Page], bool], what: str) -> Page:
    """The first scrape for which `condition` holds."""

    async def look() -> Page | None:
        page = await scrape(sites)
        return page if condition(page) else None

    return await until(look, deadline_s=WAIT_S, what=what)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(ONE_SITE) as running:
        yield running


async def test_figures_follow_what_is_written_and_nothing_in_them_names_a_record_a_subject_or_an_author(
    sites: LiveSites,
) -> None:
    before = await scrape(sites)
    author = sites.author()
    records = author.records(3)
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        outcomes = [
            await stream.outcomes(author.submission(*records[:2])),
            await stream.outcomes(author.submission(*records[2:])),
        ]
    assert [codes(each) for each in outcomes] == [[Code.ACCEPTED] * 2, [Code.ACCEPTED]]

    size = before.value("sento_flushed_records") + 3
    after = await scraped(sites, lambda page: page.value("sento_quorum_records") >= size, "the checkpoint")

    def grew(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert grew("sento_submissions_total", code="OK") == 2
    assert grew("sento_records_total", code="ACCEPTED") == 3
    assert grew("sento_submission_duration_seconds_count") == 2
    assert 0 < grew("sento_submission_duration_seconds_sum") < WAIT_S
    assert grew("sento_append_duration_seconds_count") == grew("sento_applied_block")
    assert grew("sento_block_size_bytes_count") == grew("sento_applied_block")
    fill = grew("sento_block_size_bytes_sum") / limits.BLOCK_MAX_BYTES
    assert grew("sento_block_fill_ratio_sum") == pytest.approx(fill)
    assert grew("sento_flush_duration_seconds_count") >= 1
    assert after.value("sento_applied_records") == after.value("sento_flushed_records") == size
    assert after.value("sento_ordered_block") == after.value("sento_applied_block")
    assert (after.value("sento_apply_lag_blocks"), after.value("sento_apply_lag_seconds")) == (0, 0)
    assert (after.value("sento_state", state="serving"), after.value("sento_ordering_lead")) == (1, 1)

    headers = [record.header for record in records]
    secrets = [secret for h in headers for secret in (h.record_id, h.subject, h.fact, h.author_key_id)]
    secrets += [record.record_hash for record in records]
    for secret in secrets:
        assert secret.hex() not in after.text.lower()
    genesis = sites.world.genesis
    authors, readers = ([each.name for each in who] for who in (genesis.authors, genesis.readers))
    for institution in ("iizuka", *authors, *readers):
        assert institution not in after.text
    told = {value for _, labels in after.values for name, value in labels if name != "le"}
    assert not [value for value in told if re.search(r"[0-9a-f]{8}", value)], "this looks like an identifier"


async def test_refused_writes_and_calls_are_counted_by_their_code(sites: LiveSites) -> None:
    before = await scrape(sites)
    author, other = sites.author(), sites.author("iizuka-hospital")
    first = author.record()
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        await stream.outcomes(author.submission(first))
        header = first.header
        stale = author.record(subject=header.subject, fact=header.fact)
        assert codes(await stream.outcomes(author.submission(stale))) == [Code.STALE]
        assert await stream.refused(other.submission(other.record())) is Code.IDENTITY_REFUSED
        assert await stream.refused(b"no submission") is Code.MALFORMED
        request = client_pb2.ReadRequest(purpose=PURPOSE, position=10**6, freshness=common_pb2.LOCAL)
        assert (await refusal_of(caller.registry.Read(request, timeout=10))).code is Code.NOT_FOUND
    after = await scrape(sites)
    expected = {
        ("record", "STALE"): 1,
        ("submission", "IDENTITY_REFUSED"): 1,
        ("submission", "MALFORMED"): 1,
        ("call", "NOT_FOUND"): 1,
    }
    grown = {
        (of, code): after.value("sento_refusals_total", of=of, code=code)
        - before.value("sento_refusals_total", of=of, code=code)
        for of, code in expected
    }
    assert grown == expected
    calls = {"method": "Registry/Read"}
    assert after.value("sento_rpc_calls_total", **calls, code="NOT_FOUND") == 1
    assert after.value("sento_rpc_duration_seconds_count", **calls) == 1
    assert after.value("sento_rpc_duration_seconds_count", method="Registry/Write") == 0


async def test_the_endpoint_is_gone_when_the_node_has_stopped() -> None:
    async with running_sites(ONE_SITE) as sites:
        await scrape(sites)
        await asyncio.to_thread(sites.cluster.processes[sites.names[0]].stop)
        with pytest.raises(urllib.error.URLError, match="refused"):
            await scrape(sites)


def without_metrics(world: World) -> None:
    for site in world.sites:
        text = site.config.read_text(encoding="utf-8")
        changed = re.sub(r"^\[metrics\]\naddress = .*\n", "", text, flags=re.MULTILINE)
        assert changed != text
        site.config.write_text(changed, encoding="utf-8")


async def test_a_node_without_the_table_listens_nowhere_for_metrics_and_says_so_in_its_log() -> None:
    async with running_sites(ONE_SITE, prepare=without_metrics) as sites:
        with pytest.raises(urllib.error.URLError, match="refused"):
            await scrape(sites)
        assert "node.toml has no [metrics] table" in sites.log(sites.names[0])
