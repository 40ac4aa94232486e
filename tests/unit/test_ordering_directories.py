"""A member's directories: private, held by one supervisor at a time, cleared of a stale socket, and dialled however long their path is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sento_node.ordering.etcd.directories import (
    SOCKET_PATH_BYTES_MAX,
    DirectoryTaken,
    DirectoryUnsafe,
    MemberDirectories,
)
from sento_node.ordering.etcd.settings import CLIENT_SOCKET


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[MemberDirectories]:
    claimed = MemberDirectories(tmp_path / "data", tmp_path / "run")
    yield claimed
    claimed.release()


def test_both_directories_are_made_private_even_if_they_were_not(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    MemberDirectories(tmp_path / "data", tmp_path / "run").release()
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("data", "run")] == [0o700, 0o700]


@pytest.mark.parametrize(("data", "run"), [("data", "other"), ("other", "run")])
@pytest.mark.usefixtures("directories")
def test_either_directory_in_use_refuses_the_second_and_holds_nothing_back(
    tmp_path: Path, data: str, run: str
) -> None:
    with pytest.raises(DirectoryTaken, match="already runs"):
        MemberDirectories(tmp_path / data, tmp_path / run)
    MemberDirectories(tmp_path / "other", tmp_path / "third").release()


def test_released_directories_can_be_claimed_again(tmp_path: Path, directories: MemberDirectories) -> None:
    directories.release()
    directories.release()
    MemberDirectories(tmp_path / "data", tmp_path / "run").release()


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(DirectoryUnsafe, match="belongs to another user"):
        MemberDirectories(tmp_path / "data", tmp_path / "run")


def test_a_stale_socket_is_removed_and_its_absence_is_fine(
    tmp_path: Path, directories: MemberDirectories
) -> None:
    (tmp_path / "run" / CLIENT_SOCKET).touch()
    directories.remove_stale_socket()
    directories.remove_stale_socket()
    assert not (tmp_path / "run" / CLIENT_SOCKET).exists()


@pytest.mark.parametrize("depth", [0, 3])
def test_the_socket_can_be_dialled_whatever_the_length_of_its_path(tmp_path: Path, depth: int) -> None:
    run_dir = tmp_path.joinpath(*["a-directory-name-of-sixty-characters-or-a-little-more-than-that"] * depth)
    claimed = MemberDirectories(tmp_path / "data", run_dir)
    scheme, _, path = claimed.client_target().partition(":")
    assert scheme == "unix"
    assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as dialler:
        listener.bind(path)
        listener.listen()
        dialler.connect(path)
    assert (run_dir / CLIENT_SOCKET).is_socket()
    claimed.release()
