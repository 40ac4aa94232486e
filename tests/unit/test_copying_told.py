"""How far copying is, as people, programs and Prometheus are told; and the settings of it, each mistake explained."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from bare_node import BareNode
from genesis_builder import build_genesis
from planted_status import B, PlantedSites
from sento_client.cli.status_view import status_view
from sento_client.site_status import status_value
from sento_client.site_status.keeping_whole import copying
from sento_client.site_status.wording import bytes_text, to_go
from sento_drill.world import make_world
from sento_node.config import load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.metrics import metrics_page
from sento_node.service.admin_service import status_of
from sento_node.sync.progress import PAYLOADS, SPINE, Progress
from sento_proto.v1 import admin_pb2

SYNC = admin_pb2.SyncStatus(
    source="jp-ibaraki",
    stage=SPINE,
    done=41_200,
    wanted=67_000,
    bytes_done=9_100_000,
    bytes_wanted=14_800_000,
    rate_bytes_per_s=412_000,
    time_to_go_s=63,
)


def planted() -> PlantedSites:
    sites = PlantedSites(build_genesis())
    sites._said[B].sync.CopyFrom(SYNC)
    return sites


def test_the_page_has_a_line_for_a_site_that_copies_and_none_for_others() -> None:
    judgement = planted().judged()
    file = io.StringIO()
    Console(file=file, width=140).print(status_view(Console(width=140), judgement))
    words = "is copying from jp-ibaraki: spine 41,200 of 67,000 records, 9.1 MB, 412 kB/s, 1 min 3 s to go."
    assert [line.strip() for line in file.getvalue().splitlines() if "copying" in line] == [f"{B} {words}"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stage": "records"}, "copying from jp-ibaraki: 41,200 of 67,000 records, 9.1 MB"),
        (
            {"stage": PAYLOADS, "registry": "health"},
            "jp-ibaraki: 41,200 of 67,000 payloads (now health), 9.1 MB",
        ),
        ({"source": ""}, "copying from whoever answers"),
        ({"rate_bytes_per_s": 0, "time_to_go_s": 0}, "9.1 MB, nothing comes now"),
    ],
)
def test_what_is_copied_is_said_as_far_as_it_is_known(fields: dict[str, object], words: str) -> None:
    status = admin_pb2.StatusReply()
    status.sync.CopyFrom(SYNC)
    for name, value in fields.items():
        setattr(status.sync, name, value)
    assert words in copying(status)
    assert copying(admin_pb2.StatusReply()) == ""


def test_programs_get_every_figure_or_null() -> None:
    by_site = {site["site"]: site["sync"] for site in status_value(planted().judged())["sites"]}  # type: ignore[attr-defined]
    assert by_site.pop(B) == {field.name: value for field, value in SYNC.ListFields()} | {"registry": ""}
    assert set(by_site.values()) == {None}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "3 s"), (63, "1 min 3 s"), (8_040, "2 h 14 min"), (277_200, "3 days 5 h")],
)
def test_time_to_go_has_two_units(seconds: int, words: str) -> None:
    assert to_go(seconds) == words


def test_bytes_are_told_in_thousands_as_links_are_sold() -> None:
    assert [bytes_text(n) for n in (812, 41_999, 9_100_000, 12_300_000_000)] == [
        "812 B",
        "41 kB",
        "9.1 MB",
        "12.3 GB",
    ]


def test_status_and_metrics_tell_the_same_progress_and_nothing_when_nothing_is_copied() -> None:
    node = BareNode()
    assert not status_of(node.state).HasField("sync")
    assert figures(node) == {"sento_sync_under_way": 0}
    progress = node.state.condition.sync = Progress("jp-ibaraki", done=40, wanted=100)
    progress.came(5_000, node.state.clock.now_ms())
    told = status_of(node.state).sync
    assert (told.source, told.stage, told.done, told.wanted) == ("jp-ibaraki", SPINE, 40, 100)
    assert (told.bytes_done, told.bytes_wanted) == (5_000, 12_500)
    seen = figures(node)
    assert (seen["sento_sync_under_way"], seen["sento_sync_done_records"]) == (1, 40)
    assert (seen["sento_sync_wanted_records"], seen["sento_sync_received_bytes"]) == (100, 5_000)


def figures(node: BareNode) -> dict[str, float]:
    async def read() -> bytes:
        return await metrics_page(node.state)()

    families = text_string_to_metric_families(asyncio.run(read()).decode("utf-8"))
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: sample.value for sample in samples if sample.name.startswith("sento_sync")}


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("sync") / "world").sites[0].config


def with_table(config: Path, tmp_path: Path, table: str) -> Path:
    path = tmp_path / "node.toml"
    text = re.sub(r"^\[sync\]\n(?:[^\[].*\n)*", "", config.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path.write_text(f"{text}\n[sync]\n{table}\n", encoding="utf-8")
    return path


def test_settings_of_copying_are_read_and_have_defaults(config: Path, tmp_path: Path) -> None:
    sync = load_config(with_table(config, tmp_path, "")).sync
    assert (sync.mib_per_s, sync.streams, sync.payloads) == (0, 4, "auto")
    assert sync.payload_order == ["residency", "health", "tax"]
    table = 'mib_per_s = 0.5\nstreams = 8\npayload_order = ["tax"]\npayloads = "after"'
    sync = load_config(with_table(config, tmp_path, table)).sync
    assert (sync.mib_per_s, sync.streams, sync.payload_order, sync.payloads) == (0.5, 8, ["tax"], "after")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("mib_per_s = -1", "sync.mib_per_s: Input should be greater than or equal to 0"),
        ("streams = 0", "sync.streams: Input should be greater than or equal to 1"),
        ("streams = 33", "sync.streams: Input should be less than or equal to 32"),
        ('payloads = "later"', "sync.payloads: Input should be 'auto', 'together' or 'after'"),
        ('payload_order = ["Tax office"]', "sync.payload_order.0: must be names of registries"),
        ('payload_order = ["tax", "tax"]', "sync.payload_order has one registry twice"),
        ("rate = 3", "sync.rate: is not a setting of this release"),
    ],
)
def test_each_mistake_in_them_is_explained(config: Path, tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(ConfigMistake, match=re.escape(says)):
        load_config(with_table(config, tmp_path, table))
