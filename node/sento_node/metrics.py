"""What a node tells Prometheus: which figures there are, what each means, and from where it is read.

Nothing is kept up to date for metrics' sake: a collector reads the node when somebody asks. What only counting can tell (calls, submissions, durations) stands
in `tallies.py`. Each node has a registry of its own, so that several can run in one process.

No figure is about a person, and none can be made so by a caller. Labels are: names of our methods, stable codes, states and alarms of ours, and names of sites.
Not authors: how much each institution writes is not the monitoring's business.

Names follow Prometheus' conventions: base units as suffix, `_total` for what only grows. Source: prometheus.io/docs/practices/naming.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib.metadata import version
from math import inf

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sento_node.condition import STATES
from sento_node.service.admin_service import AWAITED_COUNTED_MAX, pending_erasures
from sento_node.service.node_state import NodeState
from sento_node.tallies import CANCELLED, OK, Histogram
from sento_proto.errors import STANDING_CODES


def metrics_page(node: NodeState) -> Callable[[], Awaitable[bytes]]:
    """What makes the page of this node, in the text format 0.0.4, on the event loop.

    Each family is read and written by itself, and others get the loop in between: 400 lines are some 5 ms of computing, of which a submission waits for 2
    at most.
    """
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))
    ProcessCollector(registry=registry)

    async def page() -> bytes:
        parts = []
        for family in registry.collect():
            parts.append(generate_latest(_Alone(family)))
            await asyncio.sleep(0)
        return b"".join(parts)

    return page


class _Alone(Collector):
    """One family, for the library's writer of the format."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """That family."""
        yield self._family


class NodeCollector(Collector):
    """One node's figures as they stand now."""

    def __init__(self, node: NodeState) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Every family, in the order of the page."""
        yield from self._who()
        yield from self._calls()
        yield from self._writing()
        yield from self._refusals()
        yield from self._ledger()
        yield from self._lag()
        yield from self._ordering()
        yield from self._peers()
        yield from self._erasures()
        yield from self._sync()
        yield from self._scrub()
        yield from self._releases()
        yield from self._means()

    def _who(self) -> Iterator[Metric]:
        node, condition = self._node, self._node.condition
        build = {
            "version": version("sento"),
            "python": platform.python_version(),
            "site": node.config.site,
            "ledger": node.genesis.name,
        }
        yield _labelled("sento_build_info", "What runs here; always 1.", build)
        yield _gauge("sento_boot_number", "This site's boot number.", node.boot_number)
        yield _gauge("sento_epoch", "The ordering log's life that this ledger is in.", node.store.tip.epoch)
        states = {state: int(state == condition.shown_state) for state in STATES}
        yield _by_label("sento_state", "1 for the state that the node is in.", "state", states)
        alarms = dict.fromkeys(sorted(condition.alarms), 1)
        yield _by_label("sento_alarm", "1 for an alarm that a person must look at.", "alarm", alarms)

    def _calls(self) -> Iterator[Metric]:
        calls = sorted(self._node.tallies.calls.items())
        ended = CounterMetricFamily(
            "sento_rpc_calls", "Calls and streams that ended, by code.", labels=["method", "code"]
        )
        under_way = GaugeMetricFamily(
            "sento_rpc_under_way", "Calls and streams that are open.", labels=["method"]
        )
        seconds = HistogramMetricFamily(
            "sento_rpc_duration_seconds",
            "How long calls took; not Registry/Write, whose submissions are timed instead.",
            labels=["method"],
        )
        for method, tally in calls:
            for code, count in sorted(tally.by_code.items()):
                ended.add_metric([method, code], count)
            under_way.add_metric([method], tally.under_way)
            if tally.seconds.count:
                seconds.add_metric([method], *_buckets(tally.seconds))
        yield from (ended, under_way, seconds)

    def _writing(self) -> Iterator[Metric]:
        tallies, runner = self._node.tallies, self._node.runner
        records = {code.name: count for code, count in tallies.records.items()}
        yield _counters("sento_submissions", "Submissions answered, by code.", tallies.submissions)
        yield _counters("sento_records", "Records in answered submissions, by outcome.", records)
        yield _histogram(
            "sento_submission_duration_seconds",
            "From a submission's receipt to its answer.",
            tallies.submission_seconds,
        )
        yield _histogram(
            "sento_append_duration_seconds",
            "From the first try to append a block of this site until a majority held it.",
            tallies.append_seconds,
        )
        yield _histogram(
            "sento_block_size_bytes", "Blocks of this site that were ordered.", tallies.block_bytes
        )
        yield _histogram(
            "sento_block_fill_ratio",
            "Size of the same blocks over this site's block limit.",
            tallies.block_fill,
        )
        queues = None if runner is None else runner.site.lanes.queues
        yield _gauge("sento_queued_submissions", "Submissions in line.", queues.count if queues else 0)
        yield _gauge("sento_queued_bytes", "Submissions in line.", queues.total_bytes if queues else 0)

    def _refusals(self) -> Iterator[Metric]:
        """The same counts once more, by code alone: what was refused, wherever it was."""
        tallies = self._node.tallies
        refused = CounterMetricFamily(
            "sento_refusals",
            "Calls, submissions and records that were refused, by code.",
            labels=["of", "code"],
        )
        calls: dict[str, int] = {}
        for tally in tallies.calls.values():
            for code, count in tally.by_code.items():
                calls[code] = calls.get(code, 0) + count
        records = {code.name: n for code, n in tallies.records.items() if code not in STANDING_CODES}
        for of, counts in (("call", calls), ("submission", tallies.submissions), ("record", records)):
            for code, count in sorted(counts.items()):
                if code not in (OK, CANCELLED):
                    refused.add_metric([of, code], count)
        yield refused

    def _ledger(self) -> Iterator[Metric]:
        node, tip = self._node, self._node.store.tip
        kept = node.store.checkpoint()
        runner = node.runner
        yield _gauge("sento_applied_records", "Records applied here.", node.applied_size)
        yield _gauge("sento_flushed_records", "Records flushed here.", tip.size)
        yield _gauge("sento_quorum_records", "Records that a quorum cosigned.", kept.size if kept else 0)
        yield _gauge("sento_applied_block", "The last block applied here.", node.applied_block)
        yield _gauge("sento_flushed_block", "The last block flushed here.", tip.block)
        yield _gauge(
            "sento_trimmed_block",
            "The last block that left the ordering log, as far as seen.",
            runner.site.trimmed_block if runner else 0,
        )
        yield _histogram(
            "sento_flush_duration_seconds", "Flushes of the ledger to disk.", node.tallies.flush_seconds
        )

    def _lag(self) -> Iterator[Metric]:
        node = self._node
        yield _gauge(
            "sento_apply_lag_blocks",
            "Blocks known to be ordered, here or at another site, and not applied here.",
            node.condition.lag.behind_blocks(node.applied_block),
        )
        yield _gauge(
            "sento_apply_lag_seconds",
            "For how long somebody has been known to hold more than is applied here.",
            node.lag_ms / 1000,
        )
        yield _gauge(
            "sento_confirmed_timestamp_seconds",
            "When the flushed ledger last held everything that a majority had ordered.",
            node.condition.confirmed_at_ms / 1000,
        )

    def _ordering(self) -> Iterator[Metric]:
        ordering = self._node.condition.ordering
        head = max(self._node.condition.head_number, self._node.applied_block)
        yield _gauge("sento_ordered_block", "The ordering log's head as last heard.", head)
        yield _gauge("sento_ordering_lead", "1 if this site leads.", int(bool(ordering and ordering.is_lead)))
        if ordering is None:
            return  # the member has not answered yet: an absent figure is not a zero
        yield _gauge("sento_ordering_size_bytes", "The ordering log's file.", ordering.size_bytes)
        yield _gauge("sento_ordering_in_use_bytes", "What of it is in use.", ordering.in_use_bytes)
        yield _gauge("sento_ordering_quota_bytes", "Where the engine refuses.", ordering.quota_bytes)
        yield _gauge("sento_ordering_resident_bytes", "The member's memory.", ordering.resident_bytes)
        alarms = dict.fromkeys(sorted(ordering.alarms), 1)
        yield _by_label("sento_ordering_alarm", "1 for an alarm of the engine.", "alarm", alarms)

    def _peers(self) -> Iterator[Metric]:
        node, contacts = self._node, self._node.contacts
        names = [peer.name for peer in node.config.peers]
        reached = {name: int(node.reaches(name)) for name in names}
        heard = {name: contacts[name].at_ms / 1000 for name in names if name in contacts}
        sizes = {name: contacts[name].flushed_size for name in names if name in contacts}
        yield _by_label("sento_peer_reachable", "1 if the other site answers.", "peer", reached)
        yield _by_label(
            "sento_peer_contact_timestamp_seconds", "When the other site last answered.", "peer", heard
        )
        yield _by_label("sento_peer_flushed_records", "Records that it had flushed then.", "peer", sizes)

    def _scrub(self) -> Iterator[Metric]:
        scrub = self._node.scrub
        for name, words, count in (
            ("sento_scrub_rounds", "Rounds of the background reading that ended.", scrub.rounds),
            ("sento_scrub_read_bytes", "Bytes that the background reading took in.", scrub.read_bytes),
            ("sento_scrub_found", "Places of damage that it found.", scrub.mending.found),
            ("sento_scrub_healed", "Places of them that are sound again.", scrub.mending.healed),
            ("sento_scrub_deaths", "Readers that a page of the database ended.", scrub.deaths),
        ):
            yield CounterMetricFamily(name, words, value=count)
        yield _gauge("sento_scrub_fenced", "Records and blocks that are not given out.", scrub.mending.fenced)
        yield _gauge(
            "sento_scrub_round_ended_timestamp_seconds",
            "When the last round ended; 0 before the first.",
            scrub.last_round_ended_ms / 1000,
        )

    def _releases(self) -> Iterator[Metric]:
        log = self._node.access_log
        if log is None:
            return
        ways = CounterMetricFamily(
            "sento_access_records",
            "Access records: ordered, spooled, ordered out of the spool; and releases that were not recorded, so that nothing left.",
            labels=["way"],
        )
        for way, count in sorted(log.written.items()):
            ways.add_metric([way.replace("_", "-")], count)
        yield ways
        yield _gauge(
            "sento_access_records_spooled", "Access records on disk that are not ordered yet.", len(log.spool)
        )
        refused = "Refused attempts without a record of their own; the reader's next record counts them."
        yield CounterMetricFamily("sento_access_records_suppressed", refused, value=log.throttle.suppressed)

    def _means(self) -> Iterator[Metric]:
        space = self._node.store.space()
        yield _gauge("sento_disk_free_bytes", "Free for the ledger.", space.free_bytes)
        yield _gauge("sento_disk_total_bytes", "Size of the ledger's file system.", space.total_bytes)
        yield _gauge(
            "sento_certificate_expiry_timestamp_seconds",
            "When the certificate of the node's gRPC ends.",
            self._node.certificate_expires_at_s(),
        )

    def _erasures(self) -> Iterator[Metric]:
        node = self._node
        yield _gauge(
            "sento_erasures_pending",
            "Erasure orders carried out by act that this site has not certified yet.",
            len(pending_erasures(node)),
        )
        yield CounterMetricFamily(
            "sento_erasures_certified",
            "Erasure orders that this life carried out and certified.",
            value=node.tallies.erasures_certified,
        )
        yield CounterMetricFamily(
            "sento_erasures_payloads",
            "Payloads under those orders.",
            value=node.tallies.payloads_erased,
        )
        yield _gauge(
            "sento_erasures_payloads_awaited",
            "Payloads that this site should hold and does not; it cosigns nothing meanwhile.",
            len(node.store.awaited(AWAITED_COUNTED_MAX)),
        )

    def _sync(self) -> Iterator[Metric]:
        """Nothing while nothing is copied: an absent figure is not a zero."""
        progress = self._node.condition.sync
        yield _gauge(
            "sento_sync_under_way", "1 while this site copies from another.", int(progress is not None)
        )
        if progress is None:
            return
        now_ms = self._node.clock.now_ms()
        yield _gauge("sento_sync_done_records", "Records, or payloads, copied and proven.", progress.done)
        yield _gauge("sento_sync_wanted_records", "As many as are wanted.", progress.wanted)
        yield _gauge(
            "sento_sync_received_bytes", "Bytes of chunks that came in this copying.", progress.bytes_done
        )
        yield _gauge(
            "sento_sync_rate_bytes_per_second",
            "What came over the last half minute.",
            progress.rate_bytes_per_s(now_ms),
        )
        yield _gauge(
            "sento_sync_time_to_go_seconds",
            "Until the end at that rate; 0 while it is not known.",
            progress.time_to_go_s(now_ms),
        )


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _labelled(name: str, words: str, labels: Mapping[str, str]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def _by_label(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label], value)
    return family


def _counters(name: str, words: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=["code"])
    for code, count in sorted(counts.items()):
        family.add_metric([code], count)
    return family


def _histogram(name: str, words: str, values: Histogram) -> Metric:
    buckets, total = _buckets(values)
    return HistogramMetricFamily(name, words, buckets=buckets, sum_value=total)


def _buckets(values: Histogram) -> tuple[list[tuple[str, float]], float]:
    names = ("+Inf" if bound == inf else str(bound) for bound, _ in values.cumulative())
    counts = (float(count) for _, count in values.cumulative())
    return list(zip(names, counts, strict=True)), values.total
