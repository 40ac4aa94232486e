"""What a drill says: the last line that programs read, plain lines for logs, the table for people, and the commands' words."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from sento_drill.cli import main
from sento_drill.cluster import Status
from sento_drill.display import LiveDisplay, PlainDisplay, make_display, site_table
from sento_drill.municipality import municipality
from sento_drill.rehearsal import RehearsalSettings, fresh_world
from sento_drill.showing import PEOPLE_SHOWN, facts_to_show, summary
from sento_drill.tally import Acknowledged
from sento_drill.verdict import Verdict
from sento_drill.workload import FactName, Standing
from sento_drill.world import NoWorld, make_world

SETUP = Path(__file__).parents[2] / "deploy" / "setup.sh"


def good() -> Verdict:
    return Verdict(
        acknowledged=11_235,
        present=11_235,
        unavailable_s=1.584,
        caught_up_s=5.7612,
        disk_replaced_s=9.25,
        courier_import_s=3.017,
        relocation_pause_s=0.52,
        rto_s=7.5,
        sent_again=212,
        orphans=88,
        sites=3,
        finished=True,
    )


def test_last_line_of_a_good_demonstration() -> None:
    assert good().last_line() == (
        "demo: acknowledged=11235 present=11235 lost=0 unavailable_s=1.58 caught_up_s=5.76 "
        "disk_replaced_s=9.25 courier_import_s=3.02 relocation_pause_s=0.52 rto_s=7.50 sent_again=212 orphans=88 "
        "sites=3 verified=yes"
    )


@pytest.mark.parametrize(
    "spoil",
    [
        {"present": 11_234},
        {"problems": ["jp-ibaraki: position 4: wrong"]},
        {"finished": False},
        {"unavailable_s": float("inf")},
        {"caught_up_s": float("inf")},
        {"disk_replaced_s": float("inf")},
        {"courier_import_s": float("inf")},
        {"relocation_pause_s": float("inf")},
        {"rto_s": float("inf")},
        {"orphans": None},
        {"sites": 0},
        {"acknowledged": 0, "present": 0},
    ],
    ids=str,
)
def test_anything_missing_makes_it_a_no(spoil: dict[str, object]) -> None:
    verdict = good()
    for name, value in spoil.items():
        setattr(verdict, name, value)
    assert verdict.last_line().endswith(" verified=no")


def test_what_was_never_measured_prints_as_unknown() -> None:
    assert Verdict().last_line() == (
        "demo: acknowledged=0 present=unknown lost=unknown unavailable_s=unknown caught_up_s=unknown "
        "disk_replaced_s=unknown courier_import_s=unknown relocation_pause_s=unknown rto_s=unknown "
        "sent_again=unknown orphans=unknown sites=0 verified=no"
    )


def test_plain_display_says_each_stage_and_each_change_of_state_once() -> None:
    stream, clock = io.StringIO(), iter(range(100))
    display = PlainDisplay(stream, lambda: float(next(clock)))
    serving = Status(site="jp-fukuoka", state="serving", is_lead=True, flushed_size=1234)
    with display.running():
        display.stage("loading", 9_192)
        display.sites({"jp-fukuoka": serving, "jp-ibaraki": None})
        display.sites({"jp-fukuoka": serving, "jp-ibaraki": None})
        display.sites({"jp-fukuoka": None, "jp-ibaraki": None})
        display.say("done")
    assert stream.getvalue().splitlines() == [
        "   1.0 s == loading (9,192)",
        "   2.0 s    jp-fukuoka: serving, leads, 1,234 records",
        "   3.0 s    jp-ibaraki: no answer",
        "   4.0 s    jp-fukuoka: no answer",
        "   5.0 s    done",
    ]


def test_display_for_a_file_is_plain_and_for_a_terminal_live() -> None:
    assert isinstance(make_display(io.StringIO()), PlainDisplay)
    console = Console(file=io.StringIO(), force_terminal=True, highlight=False)
    display = LiveDisplay(console)
    with display.running():
        display.stage("loading", 10)
        display.say("[square brackets] stay as they are")
    assert "[square brackets] stay as they are" in console.file.getvalue()  # type: ignore[attr-defined]


def test_table_fits_a_narrow_terminal_and_shows_a_site_that_is_gone() -> None:
    statuses = {
        "jp-fukuoka": Status(state="waiting-for-boot-confirmation", flushed_size=1_234_567),
        "jp-ishikawa": Status(state="serving", is_lead=True, ordered_block=9, flushed_block=4),
        "jp-ibaraki": None,
    }
    stream = io.StringIO()
    Console(file=stream, width=100).print(site_table(statuses))
    text = stream.getvalue()
    assert "no answer" in text
    assert "1,234,567" in text
    assert "capital" in text
    assert "…" not in text


def test_shown_facts_are_one_of_each_kind_for_the_first_people() -> None:
    town = municipality(30, 1)
    standing = {
        FactName.of(fact): Standing(fact, Acknowledged(fact.author, b"", 0, b"", 0.0))
        for fact in town.facts()
    }
    shown = facts_to_show(standing)
    assert len({fact.identifier for fact in shown}) == PEOPLE_SHOWN
    assert len({(fact.identifier, fact.registry, fact.compartment) for fact in shown}) == len(shown)
    names = {resident.my_number: resident.name for resident in town.residents()}
    for fact in shown:
        assert summary(fact).startswith(names[fact.identifier])


@pytest.mark.parametrize(
    "command", [[], ["demo"], ["kill-rounds"], ["world"], ["cluster"], ["cluster", "kill"]]
)
def test_help_of_every_command_says_what_it_shows(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


@pytest.mark.parametrize(("flag", "sites"), [("--embassies", 5), ("--tie-breaker", 4)])
def test_world_command_makes_sites_abroad_when_asked(tmp_path: Path, flag: str, sites: int) -> None:
    made = CliRunner().invoke(main, ["world", str(tmp_path / "world"), flag])
    assert made.exit_code == 0
    assert made.output.count("will listen on") == sites
    assert "lu-betzdorf" in made.output


def test_world_command_makes_one_and_refuses_to_write_over_it(tmp_path: Path) -> None:
    directory = str(tmp_path / "world")
    made = CliRunner().invoke(main, ["world", directory, "--base-port", "7100"])
    assert made.exit_code == 0
    assert "jp-fukuoka will listen on 127.0.0.1:7101" in made.output
    assert "lu-betzdorf" not in made.output
    again = CliRunner().invoke(main, ["world", directory])
    assert again.exit_code == 2
    assert "not empty" in again.output


def test_cluster_commands_without_a_world_say_how_to_make_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["cluster", "up", str(tmp_path)])
    assert result.exit_code == 2
    assert "sento-drill world" in result.output


def test_drill_replaces_an_earlier_world_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "world"
    before = make_world(directory)
    after = fresh_world(RehearsalSettings(directory))
    assert after.genesis.ledger_id != before.genesis.ledger_id
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(NoWorld, match="no world"):
        fresh_world(RehearsalSettings(papers))
    assert (papers / "thesis.txt").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory that looks like a checkout, with a python that only notes how it was called."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "setup.sh").write_bytes(SETUP.read_bytes())
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    calls = tmp_path / "calls"
    python = (
        "#!/bin/sh\n"
        f'echo "$*" >> "{calls}"\n'
        'if [ "$2" = venv ]; then\n'
        '    mkdir -p "$3/bin" && cp "$0" "$3/bin/python"\n'
        f'    printf "#!/bin/sh\\n[ -e {tmp_path}/etcd-is-bad ] && echo too old && exit 1\\nexit 0\\n" > "$3/bin/sento-node"\n'
        '    chmod +x "$3/bin/sento-node"\n'
        "fi\n"
    )
    for name in ("python3", "etcd"):
        (tools / name).write_text(python, encoding="utf-8")
        (tools / name).chmod((tools / name).stat().st_mode | stat.S_IXUSR)
    return tmp_path


def run_setup(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with our python and etcd first on PATH and no way to become root."""
    environment = {"PATH": f"{checkout / 'tools'}:{os.environ['PATH']}", "HOME": str(checkout)}
    command = ["bash", str(checkout / "deploy" / "setup.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_setup_installs_once_says_nothing_the_second_time_and_again_when_pyproject_changes(
    checkout: Path,
) -> None:
    def installs() -> int:
        return (checkout / "calls").read_text(encoding="utf-8").count("pip install")

    first = run_setup(checkout)
    assert (first.returncode, installs()) == (0, 1)
    assert "making the virtual environment" in first.stderr
    second = run_setup(checkout)
    assert (second.returncode, installs()) == (0, 1)
    assert second.stdout + second.stderr == ""
    (checkout / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    assert run_setup(checkout).returncode == 0
    assert installs() == 2


def test_setup_with_a_bad_etcd_on_path_says_why_and_fails(checkout: Path) -> None:
    (checkout / "etcd-is-bad").touch()
    result = run_setup(checkout)
    assert result.returncode == 1
    assert "too old" in result.stderr
    assert "without a good etcd" in result.stderr
