"""What follows when a member's process ended: one test per rule of the supervision module's docstring, with etcd's own last words."""

from __future__ import annotations

import pytest

from sento_node.ordering.etcd.exec_member import EXIT_NOT_EXECUTED, EXIT_PARENT_GONE
from sento_node.ordering.etcd.supervision import (
    EndKind,
    MemberEnd,
    Restart,
    StandDown,
    SupervisionPolicy,
    back_off_ms,
    decide,
)

POLICY = SupervisionPolicy()


def ended(
    return_code: int, *tail: str, restarts: int = 0, ready_ms: int = 0, stop_asked: bool = False
) -> Restart | StandDown:
    return decide(MemberEnd(return_code, tail, restarts, ready_ms, stop_asked), POLICY)


def stood_down(decision: Restart | StandDown) -> StandDown:
    assert isinstance(decision, StandDown), decision
    return decision


@pytest.mark.parametrize(
    ("return_code", "words"),
    [(-15, "stopped cleanly"), (0, "stopped cleanly"), (-9, "was killed"), (2, "ended with code 2 while")],
)
def test_an_end_that_was_asked_for_is_no_fault_whatever_the_code(return_code: int, words: str) -> None:
    down = stood_down(ended(return_code, "fatal: input/output error", stop_asked=True))
    assert down.kind is EndKind.STOPPED
    assert words in down.sentence


def test_exit_code_0_unasked_means_removed_and_is_never_restarted() -> None:
    down = stood_down(ended(0))
    assert down.kind is EndKind.REMOVED
    assert "add it again as a learner" in down.sentence


def test_a_failed_write_is_never_restarted_because_acknowledged_blocks_may_be_gone() -> None:
    line = "fatal: failed to save Raft hard state and entries: write 0.wal: input/output error"
    down = stood_down(ended(1, line, "something after it"))
    assert down.kind is EndKind.DISK_FAILED
    assert "Remove this member" in down.sentence
    assert "learner" in down.sentence


@pytest.mark.parametrize(
    ("return_code", "line", "kind"),
    [
        (
            1,
            "fatal: discovery failed: member 8211f1d0f64f3269 has already been bootstrapped",
            EndKind.IDENTITY_LOST,
        ),
        (
            2,
            "panic: tocommit(9) is out of range [lastIndex(0)]. Was the raft log corrupted?",
            EndKind.IDENTITY_LOST,
        ),
        (
            1,
            "fatal: discovery failed: error validating peerURLs {...}: member count is unequal",
            EndKind.IDENTITY_LOST,
        ),
        (1, "fatal: failed to open WAL: walpb: crc mismatch", EndKind.DAMAGED),
        (2, "panic: failed to open database: invalid database", EndKind.DAMAGED),
        (2, "unexpected fault address 0x7f0000000000", EndKind.DAMAGED),
        (2, "panic: freepages: failed to get all reachable pages", EndKind.DAMAGED),
        (2, "flag provided but not defined: -snapshot-count", EndKind.CANNOT_START),
        (1, "warn: the member has been permanently removed from the cluster", EndKind.REMOVED),
    ],
)
def test_damage_and_lost_identity_are_not_retried(return_code: int, line: str, kind: EndKind) -> None:
    assert stood_down(ended(return_code, "info: starting", line, "goroutine 1 [running]:")).kind is kind


@pytest.mark.parametrize("return_code", [-9, 1, 2])
def test_a_member_whose_log_is_gone_from_the_disk_is_never_started_again_whatever_it_died_of(
    return_code: int,
) -> None:
    end = MemberEnd(return_code, ("no space left on device",), 0, 60_000, stop_asked=False, log_lost=True)
    down = stood_down(decide(end, POLICY))
    assert down.kind is EndKind.IDENTITY_LOST
    assert "learner" in down.sentence


def test_a_full_disk_is_retried_for_ever_with_growing_pauses() -> None:
    line = "fatal: failed to commit tx: write db: no space left on device"
    for restarts, after_ms in [(0, 1_000), (1, 2_000), (2, 4_000), (40, 30_000)]:
        decision = ended(1, line, restarts=restarts)
        assert isinstance(decision, Restart)
        assert (decision.after_ms, decision.restarts) == (after_ms, restarts + 1)
        assert "disk" in decision.sentence


@pytest.mark.parametrize("return_code", [1, 2, 3])
def test_an_unexplained_failure_is_retried_three_times_and_then_left_down(return_code: int) -> None:
    for restarts in range(3):
        assert isinstance(ended(return_code, "fatal: who knows", restarts=restarts), Restart)
    down = stood_down(ended(return_code, "fatal: who knows", restarts=3))
    assert down.kind is EndKind.GAVE_UP
    assert "started 4 times" in down.sentence
    assert "who knows" in down.sentence


@pytest.mark.parametrize(("ready_ms", "starts_anew"), [(59_999, False), (60_000, True)])
def test_a_minute_of_readiness_starts_a_new_row_of_retries(ready_ms: int, starts_anew: bool) -> None:
    decision = ended(2, "panic: now and then", restarts=3, ready_ms=ready_ms)
    if starts_anew:
        assert decision == Restart(1_000, 1, decision.sentence)
    else:
        assert isinstance(decision, StandDown)


def test_a_taken_port_is_named_and_does_not_suggest_to_replace_the_member() -> None:
    down = stood_down(ended(1, "fatal: listen tcp 127.0.0.1:7480: bind: address already in use", restarts=3))
    assert "cannot listen on its peer address" in down.sentence
    assert "learner" not in down.sentence


def test_a_signal_from_outside_is_no_verdict_on_the_data_but_has_a_limit() -> None:
    decision = ended(-9, "warn: an old input/output error of a peer", restarts=9)
    assert isinstance(decision, Restart)
    assert "SIGKILL" in decision.sentence
    assert stood_down(ended(-9, restarts=10)).kind is EndKind.GAVE_UP
    assert (
        "signal 64" in stood_down(ended(-64, restarts=10)).sentence
        or "SIGRTMAX" in stood_down(ended(-64, restarts=10)).sentence
    )


def test_the_helper_that_becomes_etcd_tells_a_missing_program_from_a_missing_node() -> None:
    assert (
        stood_down(ended(EXIT_NOT_EXECUTED, "cannot execute /opt/etcd: Permission denied")).kind
        is EndKind.CANNOT_START
    )
    assert stood_down(ended(EXIT_PARENT_GONE)).kind is EndKind.STOPPED


def test_the_pause_doubles_and_is_bounded() -> None:
    assert [back_off_ms(restarts, POLICY) for restarts in (0, 1, 2, 3, 4, 5, 6, 10_000)] == [
        1_000,
        2_000,
        4_000,
        8_000,
        16_000,
        30_000,
        30_000,
        30_000,
    ]
