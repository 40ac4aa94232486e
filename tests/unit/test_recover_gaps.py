"""The gap list misses nothing: a record stands by a quorum's word alone, and the counter gets receipt numbers; the sheet is one page that a printer takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence

from genesis_builder import OFFICERS
from sento_client.governing.following import Followed
from sento_client.recovering.collected import Known
from sento_client.recovering.gaps import GapList, SaidPlace, counts_of, encode_gaps, gap_list, gaps_csv
from sento_client.recovering.planning import make_plan
from sento_client.recovering.sheet import COLUMNS, SheetFacts, result_sheet
from sento_proto.epoch_plan import EpochPlan
from sento_proto.governance.parts import ReceiptSet
from survivors import EMBASSY, NOW_MS, SECOND, Ruins, wishes

THIRD = "nl-hague"
COUNTED = ReceiptSet((EMBASSY, SECOND, THIRD), 2)


def listed(known: list[Known], said: Mapping[int, Sequence[tuple[str, int | None]]]) -> GapList:
    """The list where of the record at a position these sites said these places."""
    words = {one.record_hash: [SaidPlace(*word) for word in said.get(one.position or 0, [])] for one in known}
    return gap_list(bytes(32), 1, 50, known, words, COUNTED)


def test_what_a_quorum_does_not_have_is_missing_with_its_receipt_number() -> None:
    ruins = Ruins()
    known = [ruins.receipt(3), ruins.receipt(35), ruins.receipt(36, author="kaga-city", registry="")]
    none, three = [(EMBASSY, None), (SECOND, None)], [(EMBASSY, 3), (SECOND, 3)]
    gaps = listed(known, {3: three, 35: none, 36: none})
    assert [one.receipt_number for one in gaps.missing] == ["0-35", "0-36"]
    assert counts_of(gaps) == [("registry not known here", "kaga-city", 1), ("residency", "iizuka-city", 1)]
    value = json.loads(encode_gaps(gaps))
    assert value["missing"][0]["record_id"] == (35).to_bytes(16, "big").hex()
    rows = list(csv.reader(gaps_csv(gaps).splitlines()))
    assert rows[1][:4] == ["residency", "iizuka-city", "0-35", (35).to_bytes(16, "big").hex()]


def test_a_lie_of_one_site_neither_hides_a_gap_nor_makes_one_and_is_named() -> None:
    ruins = Ruins()
    hidden = {35: [(EMBASSY, None), (SECOND, None), (THIRD, 35)]}
    gaps = listed([ruins.receipt(35)], hidden)
    assert (len(gaps.missing), gaps.disputed) == (1, {THIRD: 1})
    made = {3: [(EMBASSY, 3), (SECOND, 3), (THIRD, None)]}
    gaps = listed([ruins.receipt(3)], made)
    assert (len(gaps.missing), gaps.disputed) == (0, {THIRD: 1})


def test_where_too_few_answer_alike_a_record_counts_as_missing() -> None:
    ruins = Ruins()
    for words in ([(EMBASSY, 3)], [(EMBASSY, 3), (SECOND, 4)], [], [("jp-fukuoka", 3), (EMBASSY, 3)]):
        gaps = listed([ruins.receipt(3)], {3: words})
        assert (len(gaps.missing), gaps.undecided) == (1, 1)


def test_a_record_that_came_back_elsewhere_stands() -> None:
    ruins = Ruins()
    gaps = listed([ruins.receipt(35)], {35: [(EMBASSY, 48), (SECOND, 48)]})
    assert not gaps.missing


def test_what_was_never_acknowledged_is_not_asked_for() -> None:
    ruins = Ruins()
    gaps = listed([ruins.receipt(35, at_home=False, waits=True)], {})
    assert (gaps.asked, gaps.missing) == (0, ())


def plan_of(ruins: Ruins) -> EpochPlan:
    collected = ruins.collected(ruins.survey(EMBASSY, 30, agreed=28), ruins.survey(SECOND, 25, agreed=25))
    return make_plan(collected, Followed.start(ruins.world.genesis), wishes()).plan


def test_the_sheet_is_one_page_and_says_how_long_it_took_and_what_comes_next() -> None:
    ruins = Ruins()
    known = [ruins.receipt(position, author=f"town-{position}") for position in range(35, 75)]
    none = [(EMBASSY, None), (SECOND, None)]
    gaps = listed(known, {one.position or 0: none for one in known})
    sheet = result_sheet(
        SheetFacts(
            "a ledger", plan_of(ruins), OFFICERS, NOW_MS, NOW_MS + 60_000, NOW_MS + 102_000, NOW_MS + 200_000, "50 records", gaps,
            ("gap-list.json", "gap-list.csv"),
        )
    )  # fmt: skip
    lines = sheet.splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert len(lines) <= 66
    assert "Outage (RTO):         102 s" in sheet
    assert "From plan to serving: 42 s" in sheet
    assert "Missing:              40, of which 0 wait in outboxes" in sheet
    assert "in 28 further lines of the list" in sheet
    assert "officer-one, officer-two, officer-three" in sheet
    assert plan_of(ruins).parent.root.hex() in sheet.replace("\n" + " " * 24, "")


def test_the_sheet_leaves_a_line_to_write_on_where_a_time_is_not_known() -> None:
    sheet = result_sheet(
        SheetFacts("a ledger", plan_of(Ruins()), OFFICERS, 0, 0, 0, NOW_MS, "50 records", listed([], {}), ())
    )
    assert sheet.count("not known here: ____") == 5
    assert "officers close the gap" in sheet
