"""The delivery core, one test for each of its rules, without sites, network or clock; and many random disturbances with the promise that stays."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import pytest

from sento_client.delivery import Delivery
from sento_client.delivery_values import (
    Answer,
    Close,
    Effect,
    Entry,
    Offer,
    Open,
    Send,
    SetTimer,
    Settings,
    Settle,
)
from sento_client.outbox.keeping import stays
from sento_proto.errors import Code
from sento_proto.header import ZERO16, ZERO32

A, B, C = "site-a", "site-b", "site-c"
DEADLINE_MS = 30_000
SETTINGS = Settings(in_flight=2, answer_timeout_ms=1_000, open_timeout_ms=500, backoff_first_ms=100)


def record(
    name: str, previous: str | None = None, group: str | None = None, deadline_ms: int = DEADLINE_MS
) -> Entry:
    return Entry(
        _hash(name),
        ZERO32 if previous is None else _hash(previous),
        ZERO16 if group is None else _hash(group)[:16],
        deadline_ms,
    )


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


class Bench:
    """Carries out effects by writing them down; the tests play the sites."""

    def __init__(
        self, sites: tuple[str, ...] = (A, B, C), settings: Settings = SETTINGS, *, up: bool = True
    ) -> None:
        self.now_ms = 0
        self.core = Delivery(sites, settings, lambda: 0.0, 0)
        self.sends: list[tuple[str, int, bytes]] = []
        self.settled: list[Settle] = []
        self.opening: list[str] = []
        self.closed: list[str] = []
        self.timer_ms: int | None = None
        self._next = 1
        self.offers: dict[int, Offer] = {}
        self.do(self.core.start(0))
        if up:
            for site in sites:
                self.up(site)

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.sends.append((effect.site, effect.submission_id, effect.data))
            elif isinstance(effect, Settle):
                self.settled.append(effect)
            elif isinstance(effect, Open):
                self.opening.append(effect.site)
            elif isinstance(effect, Close):
                self.closed.append(effect.site)
            elif isinstance(effect, SetTimer):
                self.timer_ms = effect.at_ms

    def offer(self, *records: Entry) -> int:
        offer = Offer(self._next, b"bytes of %d" % self._next, records)
        self._next += 1
        self.offers[offer.submission_id] = offer
        self.do(self.core.offer(offer, self.now_ms))
        return offer.submission_id

    def up(self, site: str) -> None:
        self.opening.remove(site)
        self.do(self.core.stream_up(site, self.now_ms))

    def down(self, site: str, code: Code = Code.UNREACHABLE) -> None:
        self.do(self.core.stream_down(site, code, self.now_ms))

    def answer(self, site: str, submission_id: int, *codes: Code, first_position: int = 0) -> None:
        records = self.offers[submission_id].records
        answers = [
            Answer(code, first_position + place, entry.record_hash)
            for place, (code, entry) in enumerate(zip(codes, records, strict=True))
        ]
        self.do(self.core.reply(site, submission_id, 1, answers, 0, self.now_ms))

    def refuse(self, site: str, submission_id: int, code: Code) -> None:
        self.do(self.core.reply(site, submission_id, 1, [], code, self.now_ms))

    def wait_until(self, now_ms: int) -> None:
        """Let time pass, timer by timer."""
        while self.timer_ms is not None and self.timer_ms <= now_ms:
            self.now_ms, self.timer_ms = max(self.now_ms, self.timer_ms), None
            self.do(self.core.tick(self.now_ms))
        self.now_ms = now_ms

    def ends(self) -> list[tuple[int, int, Code]]:
        return [(end.submission_id, end.place, end.code) for end in self.settled]

    def sent_to(self) -> list[tuple[str, int]]:
        return [(site, submission_id) for site, submission_id, _ in self.sends]


def test_answer_ends_each_record_with_its_position() -> None:
    bench = Bench()
    one = bench.offer(record("x"), record("y"))
    bench.answer(A, one, Code.ACCEPTED, Code.KNOWN, first_position=7)
    assert [(end.code, end.position, end.epoch, end.site) for end in bench.settled] == [
        (Code.ACCEPTED, 7, 1, A),
        (Code.KNOWN, 8, 1, A),
    ]
    assert not bench.core.busy


def test_no_more_submissions_are_in_flight_than_the_window_allows() -> None:
    bench = Bench()
    ids = [bench.offer(record(str(number))) for number in range(4)]
    assert bench.sent_to() == [(A, ids[0]), (A, ids[1])]
    bench.answer(A, ids[0], Code.ACCEPTED)
    assert bench.sent_to() == [(A, ids[0]), (A, ids[1]), (A, ids[2])]


def test_lost_answer_sends_the_same_bytes_under_the_same_id_to_another_site() -> None:
    bench = Bench()
    one = bench.offer(record("x"))
    bench.down(A)
    bench.wait_until(49)
    assert bench.sent_to() == [(A, one)], "not before the pause"
    bench.wait_until(200)
    assert bench.sends == [(A, one, b"bytes of 1"), (B, one, b"bytes of 1")]
    bench.answer(B, one, Code.KNOWN, first_position=3)
    assert [(end.code, end.position, end.site) for end in bench.settled] == [(Code.KNOWN, 3, B)]


def test_submission_that_pauses_is_not_sent_early_because_something_else_happens() -> None:
    bench = Bench(up=False)
    one = bench.offer(record("x", deadline_ms=250), record("y"))
    bench.wait_until(260)
    bench.up(A)
    bench.answer(A, one, Code.HELD, Code.HELD)
    bench.offer(record("z"))
    assert bench.sent_to().count((A, one)) == 1
    bench.wait_until(400)
    assert bench.sent_to().count((A, one)) == 2


def test_loss_of_a_stream_that_is_told_twice_counts_once() -> None:
    bench = Bench()
    bench.down(A)
    bench.wait_until(49)
    bench.down(A)
    bench.wait_until(50)
    assert bench.opening == [A]


def test_submissions_of_a_lost_site_keep_their_order() -> None:
    bench = Bench(settings=Settings(in_flight=8, backoff_first_ms=100))
    ids = [bench.offer(record(str(number))) for number in range(5)]
    bench.down(A)
    bench.wait_until(200)
    assert bench.sent_to()[5:] == [(B, submission_id) for submission_id in ids]


def test_late_answer_of_the_first_site_ends_a_record_that_is_in_flight_elsewhere() -> None:
    bench = Bench()
    first = bench.offer(record("x"))
    bench.wait_until(500)
    bench.answer(A, bench.offer(record("y")), Code.ACCEPTED)
    bench.wait_until(1_200)
    assert bench.sent_to()[-1] == (B, first)
    bench.answer(A, first, Code.ACCEPTED, first_position=9)
    bench.answer(B, first, Code.KNOWN, first_position=9)
    assert [(end.submission_id, end.code, end.site) for end in bench.settled][1:] == [
        (first, Code.ACCEPTED, A)
    ]
    assert not bench.core.busy


def test_site_that_is_gone_at_the_start_is_passed_over() -> None:
    bench = Bench(up=False)
    one = bench.offer(record("x"))
    bench.up(B)
    assert bench.sends == []
    bench.down(A)
    assert bench.sent_to() == [(B, one)]


def test_first_site_that_opens_slowly_is_waited_for_only_during_the_grace() -> None:
    bench = Bench(up=False)
    one = bench.offer(record("x"))
    bench.up(C)
    bench.wait_until(SETTINGS.first_choice_grace_ms - 1)
    assert bench.sends == []
    bench.wait_until(SETTINGS.first_choice_grace_ms)
    assert bench.sent_to() == [(C, one)]


def test_site_that_never_opens_is_given_up_and_tried_again() -> None:
    bench = Bench(up=False)
    bench.wait_until(SETTINGS.open_timeout_ms)
    assert bench.closed == [A, B, C]
    bench.wait_until(SETTINGS.open_timeout_ms + 100)
    assert bench.opening.count(A) == 2


def test_site_that_accepts_and_never_answers_loses_its_stream() -> None:
    bench = Bench()
    one = bench.offer(record("x"))
    bench.wait_until(SETTINGS.answer_timeout_ms + 200)
    assert bench.closed == [A]
    assert bench.sent_to() == [(A, one), (B, one)]


def test_mute_site_is_found_out_although_the_callers_deadline_was_shorter() -> None:
    bench = Bench()
    bench.offer(record("x", deadline_ms=100))
    bench.wait_until(150)
    assert bench.ends() == [(1, 0, Code.DEADLINE)]
    bench.wait_until(SETTINGS.answer_timeout_ms)
    assert bench.closed == [A]
    assert bench.sent_to()[-1][0] == A
    second = bench.offer(record("y"))
    assert bench.sent_to()[-1] == (B, second)


def test_slow_site_that_answers_others_keeps_its_stream() -> None:
    bench = Bench()
    slow = bench.offer(record("x"))
    quick = bench.offer(record("y"))
    bench.wait_until(900)
    bench.answer(A, quick, Code.ACCEPTED)
    bench.wait_until(1_200)
    assert bench.closed == []
    assert bench.sent_to()[-1] == (B, slow)


@pytest.mark.parametrize(
    "code", [Code.NOT_READY, Code.STOPPING, Code.DISK_LOW, Code.NO_ORDERING, Code.QUEUE_FULL]
)
def test_code_about_the_site_moves_the_client_and_it_does_not_move_back_by_itself(code: Code) -> None:
    bench = Bench()
    one = bench.offer(record("x"))
    bench.refuse(A, one, code)
    bench.wait_until(200)
    bench.answer(B, one, Code.ACCEPTED)
    bench.wait_until(20_000)
    two = bench.offer(record("y"))
    assert bench.sent_to() == [(A, one), (B, one), (B, two)]


def test_pauses_double_up_to_the_most() -> None:
    settings = Settings(backoff_first_ms=100, backoff_most_ms=1_000)
    assert [settings.backoff_ms(attempts, 0.0) for attempts in (1, 2, 3, 4, 5, 99)] == [
        50,
        100,
        200,
        400,
        500,
        500,
    ]
    assert [settings.backoff_ms(attempts, 0.999) for attempts in (1, 99)] == [99, 999]


def test_refusal_that_is_not_yet_final_is_sent_again_unchanged_until_the_deadline() -> None:
    bench = Bench()
    one = bench.offer(record("x"))
    while not bench.settled:
        if bench.core.busy:
            bench.answer(bench.sends[-1][0], one, Code.HELD)
        bench.wait_until(bench.now_ms + 500)
    assert {data for _, _, data in bench.sends} == {b"bytes of 1"}
    assert len(bench.sends) > 5
    (end,) = bench.settled
    assert (end.code, end.may_stand) == (Code.HELD, False)
    assert bench.now_ms <= DEADLINE_MS + 500


def test_held_record_that_is_admitted_later_is_acknowledged() -> None:
    bench = Bench()
    one = bench.offer(record("x"), record("y"))
    bench.answer(A, one, Code.ACCEPTED, Code.HELD)
    assert bench.ends() == [(one, 0, Code.ACCEPTED)]
    bench.wait_until(300)
    bench.answer(A, one, Code.KNOWN, Code.ACCEPTED)
    assert bench.ends() == [(one, 0, Code.ACCEPTED), (one, 1, Code.ACCEPTED)]


def test_record_that_every_site_finds_ahead_of_its_clock_is_told_so_at_its_deadline_and_stays_kept() -> None:
    bench = Bench()
    one = bench.offer(record("x", deadline_ms=2_000))
    answered = 0
    while bench.now_ms < 2_000:
        if len(bench.sends) > answered:
            answered = len(bench.sends)
            bench.refuse(bench.sends[-1][0], one, Code.CLOCK_AHEAD)
        bench.wait_until(bench.now_ms + 10)
    assert [site for site, _ in bench.sent_to()][:3] == [A, B, C], "another site's clock may be the right one"
    assert len(bench.sends) < 15, "with pauses between"
    (end,) = bench.settled
    assert (end.code, end.may_stand) == (Code.CLOCK_AHEAD, False)
    assert stays(end), "the outbox goes on sending it until clocks are set right"


def test_deadline_with_an_unanswered_attempt_says_that_the_outcome_is_unknown() -> None:
    bench = Bench()
    bench.offer(record("x"))
    bench.down(A)
    bench.down(B)
    bench.down(C)
    bench.wait_until(DEADLINE_MS)
    (end,) = bench.settled
    assert (end.code, end.may_stand) == (Code.DEADLINE, True)


def test_deadline_of_a_record_that_reached_no_site_says_that_it_does_not_stand() -> None:
    bench = Bench(up=False)
    bench.offer(record("x"))
    for site in (A, B, C):
        bench.down(site)
    bench.wait_until(DEADLINE_MS)
    (end,) = bench.settled
    assert (end.code, end.may_stand) == (Code.UNREACHABLE, False)


def test_no_majority_until_the_deadline_ends_unknown_and_tells_the_last_word() -> None:
    bench = Bench(sites=(A,))
    one = bench.offer(record("x"))
    for _ in range(200):
        if len(bench.sends) and bench.core.busy:
            bench.refuse(A, one, Code.NO_ORDERING)
        bench.wait_until(bench.now_ms + 200)
    (end,) = bench.settled
    assert (end.code, end.may_stand, end.told) == (Code.DEADLINE, True, Code.NO_ORDERING)


def test_records_of_one_submission_have_deadlines_of_their_own() -> None:
    bench = Bench()
    one = bench.offer(record("x", deadline_ms=300), record("y"))
    bench.wait_until(300)
    assert bench.ends() == [(one, 0, Code.DEADLINE)]
    bench.answer(A, one, Code.ACCEPTED, Code.ACCEPTED)
    assert bench.ends() == [(one, 0, Code.DEADLINE), (one, 1, Code.ACCEPTED)]


@pytest.mark.parametrize("code", [Code.MALFORMED, Code.BAD_SIGNATURE, Code.WRONG_LEDGER, Code.TOO_LARGE])
def test_refusal_of_the_whole_submission_ends_all_its_records(code: Code) -> None:
    bench = Bench()
    one = bench.offer(record("x"), record("y"))
    bench.refuse(A, one, code)
    assert bench.ends() == [(one, 0, code), (one, 1, code)]


def test_final_refusal_fails_dependents_by_name_wherever_they_are() -> None:
    bench = Bench()
    first = bench.offer(record("bad"), record("same submission", previous="bad"))
    flying = bench.offer(record("in flight", previous="bad"))
    waiting = bench.offer(record("waiting", previous="in flight"), record("bystander"))
    bench.answer(A, first, Code.STALE, Code.PREDECESSOR_MISSING)
    ends = {(end.submission_id, end.place): (end.code, end.because) for end in bench.settled}
    assert ends == {
        (first, 0): (Code.STALE, None),
        (first, 1): (Code.PREDECESSOR_MISSING, _hash("bad")),
        (flying, 0): (Code.PREDECESSOR_MISSING, _hash("bad")),
        (waiting, 0): (Code.PREDECESSOR_MISSING, _hash("in flight")),
    }
    later = bench.offer(record("offered later", previous="in flight"))
    assert bench.settled[-1][:3] == (later, 0, Code.PREDECESSOR_MISSING)
    assert not any(end.may_stand for end in bench.settled)


def test_dependent_of_a_finally_refused_record_takes_its_group_along() -> None:
    bench = Bench()
    bad = bench.offer(record("bad"))
    bench.offer(record("p", previous="bad", group="g"), record("q", group="g"), record("r"))
    bench.answer(A, bad, Code.STALE)
    assert bench.ends() == [
        (1, 0, Code.STALE),
        (2, 0, Code.PREDECESSOR_MISSING),
        (2, 1, Code.GROUP_REFUSED),
    ]


def test_missing_predecessor_alone_is_waited_for() -> None:
    bench = Bench()
    one = bench.offer(record("x", previous="elsewhere"))
    bench.answer(A, one, Code.PREDECESSOR_MISSING)
    assert bench.settled == []
    bench.wait_until(200)
    bench.answer(A, one, Code.ACCEPTED)
    assert bench.ends() == [(one, 0, Code.ACCEPTED)]


def test_group_that_fell_because_of_a_member_that_may_come_later_is_sent_again() -> None:
    bench = Bench()
    one = bench.offer(record("x", group="g"), record("y", group="g"))
    bench.answer(A, one, Code.GROUP_REFUSED, Code.HELD)
    assert bench.settled == []
    bench.wait_until(200)
    bench.answer(A, one, Code.ACCEPTED, Code.ACCEPTED)
    assert bench.ends() == [(one, 0, Code.ACCEPTED), (one, 1, Code.ACCEPTED)]


def test_group_that_fell_because_of_a_final_member_has_fallen() -> None:
    bench = Bench()
    one = bench.offer(record("x", group="g"), record("y", group="g"), record("z", group="g"))
    bench.answer(A, one, Code.GROUP_REFUSED, Code.STALE, Code.GROUP_REFUSED)
    assert [code for _, _, code in bench.ends()] == [Code.GROUP_REFUSED, Code.STALE, Code.GROUP_REFUSED]


@pytest.mark.parametrize("answers", [[], [Answer(Code.ACCEPTED, 4, b"\1" * 32)], [Answer(Code.ACCEPTED)] * 2])
def test_answer_that_does_not_fit_what_was_sent_is_not_believed(answers: list[Answer]) -> None:
    bench = Bench()
    one = bench.offer(record("x"))
    bench.do(bench.core.reply(A, one, 1, answers, 0, 0))
    assert bench.settled == []
    bench.wait_until(200)
    assert bench.sent_to() == [(A, one), (B, one)]


def test_code_of_a_later_release_is_taken_as_outcome_unknown() -> None:
    bench = Bench()
    one = bench.offer(record("x"))
    bench.do(bench.core.reply(A, one, 1, [Answer(250)], 0, 0))
    bench.wait_until(DEADLINE_MS)
    (end,) = bench.settled
    assert (end.code, end.may_stand) == (Code.DEADLINE, True)


def test_client_that_every_site_turns_away_is_told_at_once() -> None:
    bench = Bench()
    one = bench.offer(record("x"))
    bench.down(A, Code.IDENTITY_REFUSED)
    bench.down(B, Code.IDENTITY_REFUSED)
    assert bench.settled == []
    bench.down(C, Code.IDENTITY_REFUSED)
    assert bench.ends() == [(one, 0, Code.IDENTITY_REFUSED)]
    assert bench.settled[0].may_stand


def test_abandoning_ends_every_record_and_closes_every_stream() -> None:
    bench = Bench()
    bench.offer(record("sent"))
    bench.offer(record("sent, too"))
    bench.offer(record("waits for the window"))
    bench.do(bench.core.abandon(0))
    assert [(end.code, end.may_stand) for end in bench.settled] == [
        (Code.DEADLINE, True),
        (Code.DEADLINE, True),
        (Code.DEADLINE, False),
    ]
    assert bench.closed == [A, B, C]


@pytest.mark.parametrize("seed", range(150))
def test_under_random_trouble_every_record_ends_once_and_progress_follows_when_trouble_stops(
    seed: int,
) -> None:
    """The sites keep a truth of their own: a record applied once is KNOWN ever after, at each of them."""
    chance = random.Random(seed)
    bench = Bench(up=False)
    truth: dict[bytes, int] = {}
    seen = 0
    dropped: Counter[str] = Counter()

    def site_answers(site: str, submission_id: int) -> None:
        records = bench.offers[submission_id].records
        answers = []
        for entry in records:
            code = Code.KNOWN if entry.record_hash in truth else Code.ACCEPTED
            if code is Code.ACCEPTED and entry.previous != ZERO32 and entry.previous not in truth:
                code = Code.PREDECESSOR_MISSING
            else:
                truth.setdefault(entry.record_hash, len(truth))
            answers.append(Answer(code, truth.get(entry.record_hash, 0), entry.record_hash))
        if chance.random() < 0.3 and bench.now_ms < 8_000:
            dropped[site] += 1
            bench.down(site)
        else:
            bench.do(bench.core.reply(site, submission_id, 1, answers, 0, bench.now_ms))

    pending: list[tuple[str, int]] = []
    while bench.now_ms < 29_000:
        if bench.now_ms < 6_000 and chance.random() < 0.3:
            number = len(bench.offers)
            previous = f"{number - 1}/0" if number and chance.random() < 0.5 else None
            bench.offer(record(f"{number}/0", previous), record(f"{number}/1"))
        for site in list(bench.opening):
            if bench.now_ms > 8_000 or chance.random() < 0.5:
                bench.up(site)
            elif chance.random() < 0.5:
                bench.opening.remove(site)
                bench.down(site)
        pending += bench.sent_to()[seen:]
        seen = len(bench.sends)
        chance.shuffle(pending)
        for site, submission_id in pending[: chance.randint(0, len(pending))]:
            pending.remove((site, submission_id))
            if bench.now_ms > 8_000 or chance.random() < 0.8:
                site_answers(site, submission_id)
        bench.wait_until(bench.now_ms + chance.randint(1, 200))
        bench.opening = [site for site in bench.opening if site not in bench.closed[-3:]] or bench.opening
    ends = Counter((end.submission_id, end.place) for end in bench.settled)
    offered = {
        (number, place) for number, offer in bench.offers.items() for place in range(len(offer.records))
    }
    assert set(ends) == offered
    assert set(ends.values()) <= {1}
    stands = {end for end in bench.settled if end.code in (Code.ACCEPTED, Code.KNOWN)}
    assert len(stands) == len(offered), "after trouble stopped at 8 s everything must have been acknowledged"
    for end in stands:
        assert end.position == truth[bench.offers[end.submission_id].records[end.place].record_hash]
