"""The page that Prometheus reads: figures as the node stands, counts of what was done, nothing about persons, nothing that a caller could add."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bare_node import CERTIFICATE_ENDS_S, BareNode, leading_member
from sento_node.condition import STATES
from sento_node.ledger.results import NOWHERE, RecordOutcome
from sento_node.ledger.store import DiskSpace
from sento_node.metrics import metrics_page
from sento_node.service.admin_service import status_of
from sento_node.service.node_state import CONTACT_LOST_MS
from sento_node.tallies import Histogram, Tallies
from sento_proto.errors import Code

PEERS = ("jp-ishikawa", "jp-ibaraki")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def page(node: BareNode) -> str:
    async def read() -> bytes:
        return await metrics_page(node.state)()

    return asyncio.run(read()).decode("utf-8")


def samples(node: BareNode) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(node))
        for sample in family.samples
    }


def value(seen: Samples, name: str, labels: Mapping[str, str] | None = None) -> float:
    return seen[name, frozenset((labels or {}).items())]


def outcomes(*codes: Code) -> list[RecordOutcome]:
    return [RecordOutcome(bytes([n]) * 32, code, NOWHERE) for n, code in enumerate(codes)]


def test_every_family_is_named_as_prometheus_asks_and_says_what_it_is() -> None:
    families = [f for f in text_string_to_metric_families(page(BareNode())) if f.name.startswith("sento")]
    assert len(families) > 30
    for family in families:
        assert family.documentation
        assert re.fullmatch(r"sento(_[a-z]+)+", family.name)
        assert not re.search(r"_(ms|mib|kib|percent|count|sum|bucket)$", family.name), family.name
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_bytes", "_ratio"))


def test_state_is_one_for_the_word_that_holds_and_zero_for_every_other() -> None:
    node = BareNode()
    node.state.condition.state = "no-majority"
    seen = samples(node)
    assert {state: value(seen, "sento_state", {"state": state}) for state in STATES} == {
        state: float(state == "no-majority") for state in STATES
    }


def test_a_submission_counts_once_and_its_records_by_what_became_of_them() -> None:
    node = BareNode()
    node.state.tallies.answered(0.004, outcomes(Code.ACCEPTED, Code.ACCEPTED))
    node.state.tallies.answered(0.2, outcomes(Code.ACCEPTED, Code.STALE, Code.KNOWN))
    node.state.tallies.refused(9.0, Code.BAD_SIGNATURE)
    seen = samples(node)
    assert value(seen, "sento_submissions_total", {"code": "OK"}) == 2
    assert value(seen, "sento_submissions_total", {"code": "BAD_SIGNATURE"}) == 1
    assert value(seen, "sento_records_total", {"code": "ACCEPTED"}) == 3
    assert value(seen, "sento_records_total", {"code": "STALE"}) == 1
    assert value(seen, "sento_submission_duration_seconds_count") == 3
    assert value(seen, "sento_submission_duration_seconds_bucket", {"le": "0.005"}) == 1
    assert value(seen, "sento_submission_duration_seconds_bucket", {"le": "5.0"}) == 2
    assert value(seen, "sento_submission_duration_seconds_bucket", {"le": "+Inf"}) == 3
    refused = {labels: n for (name, labels), n in seen.items() if name == "sento_refusals_total"}
    assert refused == {
        frozenset({("of", "submission"), ("code", "BAD_SIGNATURE")}): 1,
        frozenset({("of", "record"), ("code", "STALE")}): 1,
    }


def test_a_block_counts_by_its_size_and_against_the_limit_of_its_site() -> None:
    node = BareNode()
    node.state.tallies = Tallies(block_max_bytes=128 * 1024)
    node.state.tallies.ordered(0.003, 64 * 1024)
    seen = samples(node)
    assert value(seen, "sento_block_size_bytes_sum") == 65_536
    assert value(seen, "sento_block_size_bytes_bucket", {"le": "65536.0"}) == 1
    assert value(seen, "sento_block_size_bytes_bucket", {"le": "49152.0"}) == 0
    assert value(seen, "sento_block_fill_ratio_sum") == 0.5
    assert value(seen, "sento_append_duration_seconds_count") == 1


@pytest.mark.parametrize(
    ("observed", "fell_into"), [(0.0, 1.0), (1.0, 1.0), (1.5, 2.0), (2.0, 2.0), (3.0, float("inf"))]
)
def test_a_value_at_a_bound_counts_as_not_above_it(observed: float, fell_into: float) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(observed)
    assert next(bound for bound, count in histogram.cumulative() if count) == fell_into


def test_the_ordering_log_is_told_when_the_member_has_answered_and_absent_before() -> None:
    node = BareNode()
    before = samples(node)
    assert value(before, "sento_ordering_lead") == 0
    assert not [
        name for name, _ in before if name in ("sento_ordering_size_bytes", "sento_ordering_quota_bytes")
    ]
    node.state.condition.ordering = leading_member(alarms=("NOSPACE",))
    after = samples(node)
    figures = {
        part: value(after, f"sento_ordering_{part}_bytes") for part in ("size", "in_use", "quota", "resident")
    }
    assert figures == {"size": 400, "in_use": 300, "quota": 1_000, "resident": 5_000}
    assert value(after, "sento_ordering_lead") == 1
    assert value(after, "sento_ordering_alarm", {"alarm": "NOSPACE"}) == 1


def test_disk_certificate_boot_number_and_alarms_are_told_without_the_alarms_words() -> None:
    node = BareNode()
    node.lone.store.set_space(DiskSpace(30, 100))
    node.state.condition.raise_alarm("block-vanished", "words with a number 4711")
    seen = samples(node)
    assert (value(seen, "sento_disk_free_bytes"), value(seen, "sento_disk_total_bytes")) == (30, 100)
    assert value(seen, "sento_certificate_expiry_timestamp_seconds") == CERTIFICATE_ENDS_S
    assert value(seen, "sento_boot_number") == 7
    assert value(seen, "sento_alarm", {"alarm": "block-vanished"}) == 1
    assert "4711" not in page(node)


def test_a_peer_is_reachable_until_its_silence_is_long_and_a_set_wall_clock_changes_nothing() -> None:
    node = BareNode(PEERS)
    node.state.heard(PEERS[0], flushed_size=40, flushed_block=3)
    node.clock.at_ms += CONTACT_LOST_MS - 1
    seen = samples(node)
    reachable = {peer: value(seen, "sento_peer_reachable", {"peer": peer}) for peer in PEERS}
    assert reachable == {PEERS[0]: 1, PEERS[1]: 0}
    assert value(seen, "sento_peer_flushed_records", {"peer": PEERS[0]}) == 40
    node.clock.wall_ms = lambda: 0  # type: ignore[method-assign]
    assert [peer.reachable for peer in status_of(node.state).peers] == [True, False]
    node.clock.at_ms += 1
    assert [peer.reachable for peer in status_of(node.state).peers] == [False, False]
    assert value(samples(node), "sento_peer_reachable", {"peer": PEERS[0]}) == 0


def test_what_a_peer_has_flushed_and_this_site_has_not_applied_is_lag_in_metrics_and_status_alike() -> None:
    node = BareNode(PEERS)
    assert status_of(node.state).lag_ms == 0
    node.state.heard(PEERS[0], flushed_size=40, flushed_block=3)
    node.clock.at_ms += 2_500
    node.state.heard(PEERS[1], flushed_size=50, flushed_block=4)
    seen = samples(node)
    assert value(seen, "sento_apply_lag_blocks") == 4
    assert value(seen, "sento_apply_lag_seconds") == 2.5
    assert status_of(node.state).lag_ms == 2_500


def test_a_flush_is_told_in_status_as_the_last_one_and_in_metrics_as_all_of_them() -> None:
    node = BareNode()
    assert status_of(node.state).flush_ms == 0
    for seconds in (0.25, 0.0004):
        node.state.tallies.flushed(seconds)
    assert status_of(node.state).flush_ms == 1, "a flush that happened is never told as none"
    assert value(samples(node), "sento_flush_duration_seconds_count") == 2


def test_two_nodes_in_one_process_count_apart() -> None:
    one, other = BareNode(), BareNode()
    one.state.tallies.refused(0.1, Code.MALFORMED)
    labels = {"code": "MALFORMED"}
    assert value(samples(one), "sento_submissions_total", labels) == 1
    assert ("sento_submissions_total", frozenset(labels.items())) not in samples(other)
