"""What a relocation did to writing: the longest time without a record, the proof of the head, the lines between sites; and the journal that keeps them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genesis_builder import build_genesis
from relocation_world import TARGET, fake_world, plan_of
from sento_client.relocating.journal import Journal, JournalFile, Stand, decode_journal, encode_journal
from sento_client.relocating.measuring import Growth, pause_sentence, round_trip_lines, together
from sento_client.relocating.reporting import Ending, registry_lines, report_lines, report_value
from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.relocation_plan import Stage, plan_hash
from sento_proto.wire import Malformed

LEDGER = build_genesis().ledger_id


def grown(*looks: tuple[int, int]) -> Growth:
    growth = Growth()
    for at_ms, size in looks:
        growth = growth.seen(at_ms, size)
    return growth


def stand(at_ms: int, size: int, lead: str) -> Stand:
    tree = Checkpoint(LEDGER, 0, size, bytes([size % 251]) * 32)
    return Stand(
        at_ms,
        encode_checkpoint(tree),
        {"jp-fukuoka": size, TARGET: size},
        {"jp-fukuoka - lu-betzdorf": 220_000},
        lead,
    )


def test_a_pause_is_the_longest_time_between_two_rises_of_the_most_that_any_site_has() -> None:
    growth = grown((0, 100), (100, 110), (200, 120), (250, 115), (2_700, 121), (2_800, 130), (9_000, 130))
    assert (growth.longest_ms, growth.longest_at_ms) == (2_500, 200)
    assert (growth.growths, growth.records) == (4, 30)


def test_time_before_the_first_record_and_after_the_last_is_no_pause() -> None:
    assert grown((0, 100), (60_000, 101), (60_100, 102), (99_000, 102)).longest_ms == 100


def test_where_nobody_wrote_no_pause_is_told_and_where_few_did_it_says_so() -> None:
    assert "nobody wrote" in pause_sentence(grown((0, 100), (5_000, 100)))
    assert "Few records came" in pause_sentence(grown((0, 100), (100, 101), (3_000, 102)))
    busy = grown(*((100 * look, 100 + look) for look in range(40)))
    assert "so the pause of writing was at most that" in pause_sentence(busy)


def test_watched_by_two_computers_the_longer_pause_counts_and_records_add_up() -> None:
    total = together([grown((0, 1), (100, 2), (900, 3)), grown((0, 3), (100, 9), (200, 10))])
    assert (total.longest_ms, total.records, total.growths) == (800, 9, 4)


def test_a_line_that_was_not_measured_at_one_time_says_so() -> None:
    assert round_trip_lines({"a - b": 5_000}, {"a - c": 7_500}) == (
        "a - b: 5.0 ms before, not measured after",
        "a - c: not measured before, 7.5 ms after",
    )


def test_the_report_names_the_same_head_the_pause_and_the_lead() -> None:
    plan = plan_of(fake_world())
    before, now = stand(0, 1_000, "jp-fukuoka"), stand(30_000, 9_000, TARGET)
    journal = Journal(plan_hash(plan), before, now, (grown((0, 1), (100, 2), (900, 3)),))
    lines = "\n".join(report_lines(plan, journal, Ending(Stage.RETIRED, TARGET, True, now)))
    assert "Same head: the tree of 1,000 records before" in lines
    assert "lost: none" in lines
    assert "Longest time without a new record at any site: 0.8 s" in lines
    assert "220.0 ms before, 220.0 ms after" in lines
    value = report_value(plan, journal, Ending(Stage.RETIRED, TARGET, True, now))
    assert (value["same_head"], value["lost"], value["longest_pause_ms"]) == (True, 0, 800)
    assert registry_lines(plan, TARGET, now)[0].startswith(
        f"residency ACTIVE at {TARGET}, head of 9,000 records"
    )


def test_a_head_that_nobody_can_prove_is_never_called_the_same() -> None:
    plan = plan_of(fake_world())
    before, now = stand(0, 1_000, "jp-fukuoka"), stand(30_000, 9_000, TARGET)
    journal = Journal(plan_hash(plan), before, now)
    for same in (False, None):
        ending = Ending(Stage.RETIRED, TARGET, same, now)
        assert "lost: none" not in "\n".join(report_lines(plan, journal, ending))
        assert report_value(plan, journal, ending)["lost"] is None
    assert any(
        "not kept on this computer" in line
        for line in report_lines(plan, Journal(b"\1" * 32), Ending(Stage.RETIRED, TARGET, None, now))
    )


def test_the_journal_survives_its_file_and_says_each_step_once(tmp_path: Path) -> None:
    plan = plan_of(fake_world())
    file = JournalFile.of(tmp_path / "plan.json", plan_hash(plan))
    journal = Journal(
        plan_hash(plan), stand(0, 9, "jp-fukuoka"), None, (Growth(records=3, growths=2, longest_ms=7),)
    )
    for at_ms, words in ((1, "one"), (2, "one"), (3, "two")):
        journal = journal.noted(at_ms, words)
    file.write(journal)
    again = JournalFile.of(tmp_path / "plan.json", plan_hash(plan))
    assert (again.journal, again.renewed) == (journal, False)
    assert journal.steps == ((1, "one"), (3, "two"))


def test_a_journal_of_another_plan_or_a_damaged_one_is_begun_anew_and_stops_nothing(tmp_path: Path) -> None:
    JournalFile.of(tmp_path / "plan.json", b"\1" * 32).write(Journal(b"\1" * 32).noted(1, "one"))
    other = JournalFile.of(tmp_path / "plan.json", b"\2" * 32)
    assert (other.journal, other.renewed) == (Journal(b"\2" * 32), True)
    other.path.write_text("{")
    assert JournalFile.of(tmp_path / "plan.json", b"\1" * 32).renewed


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.update(more=1),
        lambda told: told.update(format="sento-relocation-journal-2"),
        lambda told: told["before"].update(checkpoint=base64.b64encode(b"no checkpoint").decode()),
        lambda told: told["before"]["sizes"].update(a=-1),
        lambda told: told["watched"][0].update(records="3"),
    ],
)
def test_a_file_that_is_no_journal_is_malformed(spoil: Callable[[dict[str, object]], object]) -> None:
    told = json.loads(encode_journal(Journal(b"\1" * 32, stand(0, 9, "a"), None, (Growth(records=3),))))
    spoil(told)
    with pytest.raises(Malformed):
        decode_journal(json.dumps(told).encode())
