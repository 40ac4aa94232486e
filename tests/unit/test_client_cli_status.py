"""`sento status` over planted sites: how it ends, what programs get, and what fits into which window."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from cli_terminal import Terminal
from client_world import build_client_world
from genesis_builder import SITES, build_genesis
from planted_status import A, B, C, PlantedSites
from sento_client import SentoClient
from sento_client.cli import status as status_command
from sento_client.cli.exits import Exit
from sento_client.cli.status_view import status_view
from sento_client.site_status import Judgement, SiteReport, status_value
from sento_proto.errors import Code

KEYS = {
    "format",
    "ledger",
    "ledger_name",
    "asked_at_ms",
    "took_ms",
    "sentence",
    "degraded",
    "problems",
    "writing",
    "critical_sites",
    "voting",
    "may_be_lost",
    "receipts",
    "lead",
    "gaps",
    "sites",
}


class Looks:
    """A client's `status` whose answers are planted: one list of reports for each look; then `when_over` is called and the last one stays."""

    def __init__(self, *looks: PlantedSites) -> None:
        self.left = [look.reports() for look in looks]
        self.now_ms = looks[0].now_ms
        self.taken = 0

    async def __call__(self, _: SentoClient, *, timeout_ms: int) -> list[SiteReport]:
        await asyncio.sleep(0)
        self.taken += 1
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setattr(status_command, "SECOND_LOOK_MS", 1)
    return Terminal(build_client_world(tmp_path))


@pytest.fixture
def sites() -> PlantedSites:
    return PlantedSites(build_genesis())


def plant(monkeypatch: pytest.MonkeyPatch, *looks: PlantedSites) -> Looks:
    planted = Looks(*looks)

    async def planted_status(sento: SentoClient, *, timeout_ms: int) -> list[SiteReport]:
        return await planted(sento, timeout_ms=timeout_ms)

    monkeypatch.setattr(SentoClient, "status", planted_status)
    monkeypatch.setattr(status_command, "wall_ms", lambda: planted.now_ms)
    return planted


def page(judgement: Judgement, columns: int) -> str:
    out = io.StringIO()
    console = Console(width=columns, file=out)
    console.print(status_view(console, judgement))
    return out.getvalue()


# How it ends.


def test_begins_with_the_sentence_and_exits_by_what_it_says(terminal: Terminal) -> None:
    healthy = terminal.run("status")
    assert healthy.exit_code == Exit.OK, healthy.stdout
    assert healthy.stdout.startswith("All is well: writing goes on with 3 of 3")
    assert all(site in healthy.stdout for site in SITES)
    terminal.place.sites[2].down = True
    degraded = terminal.run("status")
    assert degraded.exit_code == Exit.DEGRADED
    assert degraded.stdout.startswith("Writing goes on with 2 of 3 voting sites")
    assert "jp-ibaraki: does not answer this computer (UNREACHABLE" in degraded.stdout
    for site in terminal.place.sites:
        site.down = True
    nobody = terminal.run("status")
    assert nobody.exit_code == Exit.UNREACHABLE
    assert nobody.stdout.startswith("No site answers this computer")


def test_passing_moment_is_looked_at_twice_and_alarms_nobody(
    terminal: Terminal, sites: PlantedSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    electing = PlantedSites(sites.world).say_all(lead_site="", is_lead=False)
    looks = plant(monkeypatch, electing, sites)
    assert terminal.run("status").exit_code == Exit.OK
    assert looks.taken == 2


def test_what_stays_at_the_second_look_is_told(
    terminal: Terminal, sites: PlantedSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = plant(monkeypatch, sites.say_all(lead_site="", is_lead=False))
    result = terminal.run("status")
    assert result.exit_code == Exit.DEGRADED
    assert "No site knows which one leads" in result.stdout
    assert looks.taken == 2


def test_what_cannot_pass_is_told_at_once(
    terminal: Terminal, sites: PlantedSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = plant(monkeypatch, sites.say(C, state="refused"))
    assert terminal.run("status").exit_code == Exit.DEGRADED
    assert looks.taken == 1


# Programs.


def test_json_has_every_key_always(sites: PlantedSites) -> None:
    healthy, silent = status_value(sites.judged()), status_value(sites.gone(*SITES).judged())
    assert healthy.keys() == silent.keys() == KEYS
    assert healthy["format"] == "sento-status-1"
    shapes = [set(site) for value in (healthy, silent) for site in json.loads(json.dumps(value))["sites"]]
    assert all(shape == shapes[0] for shape in shapes)


def test_json_says_what_the_sentence_says(
    terminal: Terminal, sites: PlantedSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, sites.gone(C).say(B, applied_size=900, lag_ms=42_000))
    value = terminal.value("status")
    assert (value["writing"], value["critical_sites"], value["degraded"]) == ("one_loss_stops", [A, B], True)
    assert value["may_be_lost"] == {"any_of": 2, "sites": [A, B], "come_back": 0}
    assert value["voting"] == {"sites": list(SITES), "at_work": [A, B], "needed": 2}
    assert value["receipts"] == {"state": "one_loss_stops", "critical_sites": [A, B]}
    assert [problem["trouble"] for problem in value["problems"]] == ["behind", "no-answer"]
    first, second, third = value["sites"]
    assert (first["role"], first["lead"], first["takes_records"]) == ("voting", True, True)
    assert (second["lag_records"], second["lag_ms"], second["certificate_days"]) == (100, 42_000, 300)
    assert (third["reachable"], third["state"], third["heard_by_peer_age_ms"], third["last_known_size"]) == (
        False,
        None,
        14_000,
        1_000,
    )


def test_json_of_a_look_that_can_say_nothing_has_null_for_what_may_be_lost(sites: PlantedSites) -> None:
    value = status_value(sites.gone(*SITES, code=Code.DEADLINE).judged())
    assert (value["writing"], value["may_be_lost"], value["lead"]) == ("unknown", None, None)


# People.


def test_page_of_a_hundred_columns_has_everything(sites: PlantedSites) -> None:
    text = page(sites.gone(C, code=Code.DEADLINE).say(B, lag_ms=1_500, applied_size=990).judged(), 100)
    assert max(map(len, text.splitlines())) <= 100
    assert "No room" not in text
    for words in (
        "votes, leads",
        "no answer",
        "≥ 1,000",
        "14 s ago",
        "1.5 s",
        "300 days",
        "50.0 GiB",
        "10 MiB",
        "1.0.0",
        "Asked at 2027-01-15 08:00:00Z; the slowest answer took 3 ms.",
    ):
        assert words in text


def test_a_large_registry_fits_into_a_hundred_columns_too() -> None:
    sites = PlantedSites(build_genesis(), size=123_456_789)
    sites.say(C, state="waiting-for-boot-confirmation", applied_size=23_456_789)
    text = page(sites.judged(), 100)
    assert "No room" not in text
    assert "100,000,000" in text


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_narrow_window_drops_columns_and_says_which(sites: PlantedSites, columns: int) -> None:
    text = page(sites.judged(), columns)
    assert max(map(len, text.splitlines())) <= columns
    flat = " ".join(text.split())
    assert "No room here for to cosign/cosigned" in flat
    assert "use --json" in flat
    assert all(site in text for site in SITES)


def test_page_shows_sites_that_were_not_asked_or_turn_us_away(sites: PlantedSites) -> None:
    sites.configured = (A, B)
    text = page(sites.gone(B, code=Code.IDENTITY_REFUSED).judged(), 100)
    assert "not asked" in text
    assert "turned away" in text


def test_page_of_a_site_that_has_seen_no_checkpoint_and_no_other_site(sites: PlantedSites) -> None:
    text = page(
        sites.say_all(
            quorum_size=0, quorum_time_s=0, applied_size=0, flushed_size=0, peers=[], ordering_quota_bytes=0
        ).judged(),
        100,
    )
    assert "never" in text


def test_site_of_another_ledger_is_not_compared(sites: PlantedSites) -> None:
    sites.say(C, ledger_id=bytes(32), applied_size=77)
    judged = sites.judged()
    third = json.loads(json.dumps(status_value(judged)))["sites"][2]
    assert (third["applied_size"], third["lag_records"], third["at_work"]) == (77, None, False)
    assert "77" in page(judged, 100)


def test_what_a_site_says_moves_no_cursor_and_is_no_markup(sites: PlantedSites) -> None:
    sites.say(C, state="\x1b[2Jwiped", explanation="[red]\x1b[31mpainted", version="\x07")
    text = page(sites.judged(), 200)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]\\x1b[31mpainted" in text
