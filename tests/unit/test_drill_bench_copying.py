"""Benches of copies: the day that is copied is the one that the figures speak of, and what is missed is said."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sento_drill.bench.copying.arriving import SPINE, WHOLE, Arrived, prepare_embassy
from sento_drill.bench.copying.day import DAY_RECORDS, PER_YEAR, events
from sento_drill.bench.copying.source import ABROAD, HOME, PLAN, Source, Written, open_source
from sento_drill.bench.copying.sync_command import DAY, markdown, missed_goals, runs
from sento_drill.cli import main
from sento_drill.commands import CommandFailed, sento
from sento_drill.links.link import PACKETS, RELAY, place_link
from sento_drill.links.shaping import Counters
from sento_drill.ports import SitePorts
from sento_drill.world import make_world

WRITTEN = Written(67_000, header_bytes=240.0, payload_bytes=2_160.0, write_s=20.0)
NAMES = ("low-orbit", "geostationary", "telephone")


def arrived(name: str = "low-orbit", **fields: Any) -> Arrived:
    """A run that met its goals, unless `fields` say otherwise."""
    good = Arrived(
        run=runs([name])[0],
        kind=PACKETS,
        records=67_000,
        seconds=110.0,
        serving_s=111.0,
        needed_bytes=WRITTEN.whole_bytes,
        there=Counters(sent_packets=120_000, sent_bytes=170_000_000),
        back=Counters(sent_packets=60_000, sent_bytes=3_000_000),
    )
    return replace(good, **fields)


def test_a_day_has_each_kind_as_often_as_the_year_says_and_nobody_twice() -> None:
    assert DAY == DAY_RECORDS == 67_000
    drafts = list(islice(events(10**9, content_bytes=1), 5_000))
    counted, whole = Counter(draft.kind for draft in drafts), sum(PER_YEAR.values())
    for kind, number in PER_YEAR.items():
        assert counted[kind] == pytest.approx(5_000 * number / whole, abs=1.5)
    assert len({draft.subject for draft in drafts}) == 5_000


def test_as_many_events_as_were_asked_for_and_their_content_does_not_repeat() -> None:
    drafts = list(events(40))
    assert len(drafts) == 40
    assert len({bytes(draft.content) for draft in drafts if isinstance(draft.content, bytes)}) == 40
    assert {len(draft.content) for draft in drafts} == {2_000}


def test_runs_are_the_whole_over_two_links_and_headers_over_the_thin_one() -> None:
    assert [(run.link, run.what, run.goal_s) for run in runs(NAMES)] == [
        ("low-orbit", WHOLE, 180.0),
        ("geostationary", WHOLE, None),
        ("telephone", SPINE, None),
    ]
    assert [run.link for run in runs(["telephone"])] == ["telephone"]


def test_a_copy_within_its_goals_misses_none() -> None:
    good = arrived()
    assert good.ratio == pytest.approx(173_000_000 / (67_000 * 2_400))
    assert missed_goals(good) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seconds": 181.0}, "181 s, at most 180"),
        ({"there": Counters(sent_bytes=200_000_000)}, "1.26 bytes on the link for each needed"),
        ({"back": Counters(sent_bytes=30_000_000)}, "1.24 bytes on the link for each needed"),
    ],
)
def test_what_a_copy_misses_is_said(fields: dict[str, Any], words: str) -> None:
    (missed,) = missed_goals(arrived(**fields))
    assert words in missed


def test_no_time_is_promised_over_a_geostationary_link() -> None:
    assert missed_goals(arrived("geostationary", seconds=10_000.0)) == []


def test_the_table_says_whether_tcp_felt_the_loss() -> None:
    lines = markdown([arrived(), arrived(kind=RELAY)]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "packets, TCP feels the loss" in lines[2]
    assert "relayed bytes" in lines[3]
    assert "13.5 Mbit/s, 45 ms there and back, 1.0% loss" in lines[2]


def test_fields_of_a_run_are_json_and_say_how_full_the_link_was() -> None:
    fields = json.loads(json.dumps(arrived().fields()))
    assert fields["records_per_s"] == pytest.approx(609.1)
    assert fields["link_used"] == pytest.approx(170_000_000 * 8 / 13_500_000 / 110, abs=0.001)
    assert fields["there"]["sent_packets"] == 120_000


def test_headers_count_with_the_hashes_of_their_payloads() -> None:
    assert WRITTEN.whole_bytes == 67_000 * 2_400
    assert WRITTEN.spine_bytes == 67_000 * 272


def test_there_is_no_source_where_none_was_written(tmp_path: Path) -> None:
    assert open_source(tmp_path) is None


def test_an_embassy_that_is_to_copy_begins_empty_and_with_the_settings_of_the_run(tmp_path: Path) -> None:
    ports = {HOME: SitePorts(7101, 7102, 7103), ABROAD: SitePorts(7111, 7112, 7113)}
    place = place_link((HOME, ABROAD), ports, packets=True)
    source = Source(make_world(tmp_path / "world", PLAN, ports=place.ports), place, WRITTEN)
    site = source.world.sites_directory / ABROAD
    (site / "data" / "ledger").mkdir(parents=True)
    prepare_embassy(source, {"payloads": "after"})
    assert not (site / "data").exists()
    text = (site / "node.toml").read_text(encoding="utf-8")
    assert '[sync]\npayloads = "after"' in text
    assert 'address = "10.77.0.1:7101"' in text
    assert "[ordering]" not in text


async def test_a_command_that_ends_otherwise_than_it_may_tells_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)sento no-such-command ended with 2: .*No such command"):
        await sento(tmp_path, "no-such-command")
    assert "No such command" not in await sento(tmp_path, "no-such-command", ends=(0, 2))


@pytest.mark.parametrize("command", ["bench-sync", "bench-courier"])
def test_help_says_what_is_measured_and_how_to_look_shortly(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"sento-drill {command} --records" in result.output
