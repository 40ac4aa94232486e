"""PostgreSQL as a ministry would run it for the same promise: a primary and two physical standbys, each commit on disk at the primary and at any one of them.

    synchronous_commit = on, synchronous_standby_names = 'ANY 1 (s1, s2)', fsync = on (the default)

Servers are reached over Unix sockets, which costs a client less than loopback. Settings beyond the defaults only take limits away (connections, buffers,
room between checkpoints). Source: PostgreSQL, "Streaming Replication", "Synchronous Replication".
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
from pathlib import Path

from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.programs import Server, run_tool
from sento_drill.waiting import TooLate, until

PORT = "5432"
"""Names the socket's file; nothing listens on the network."""
ADMINISTRATOR = "postgres"
STANDBYS = ("s1", "s2")
START_DEADLINE_S = 60.0
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "wal_level": "replica",
    "max_wal_senders": "6",
    "synchronous_commit": "on",
    "fsync": "on",
    "log_min_messages": "fatal",
}
SYNCHRONOUS = f"ANY 1 ({', '.join(STANDBYS)})"
_OTHERS_MAY_ENTER = 0o001
_INSTALLED = Path("/usr/lib/postgresql")
_TOOLS = ("postgres", "initdb", "pg_basebackup", "psql", "pgbench")


def find_tools() -> Path | None:
    """The directory of the newest PostgreSQL that has all that is needed."""
    beside = shutil.which("postgres")
    versions = sorted(
        _INSTALLED.glob("*/bin"), key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0)
    )
    candidates = [*reversed(versions), *([Path(beside).resolve().parent] if beside else [])]
    return next((path for path in candidates if all((path / tool).exists() for tool in _TOOLS)), None)


def server_user(directory: Path) -> str | None:
    """As whom the servers run: None for the user who runs the bench. Raises LookupError when root has no user for them who may enter `directory`."""
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(ADMINISTRATOR).pw_name
    except KeyError:
        raise LookupError(f"PostgreSQL does not run as root and there is no user {ADMINISTRATOR}") from None
    if shutil.which("setpriv") is None:
        raise LookupError("PostgreSQL does not run as root and setpriv (of util-linux) is not on PATH")
    here = directory.resolve()
    closed = [path for path in (here, *here.parents) if not path.stat().st_mode & _OTHERS_MAY_ENTER]
    if closed:
        raise LookupError(f"PostgreSQL does not run as root and {user} may not enter {closed[-1]}")
    return user


class PostgresqlServers:
    """Primary and standbys in `directory`. Made once by `create`, then started and stopped as often as needed."""

    def __init__(self, directory: Path, tools: Path, user: str | None) -> None:
        self.directory = directory
        self.tools = tools
        self._user = user
        self._running: dict[str, Server] = {}

    @property
    def socket_directory(self) -> Path:
        """Where the primary's socket lies."""
        return self.directory / "primary-socket"

    def servers(self) -> dict[str, int]:
        """Role -> process id."""
        return {name: server.pid for name, server in self._running.items()}

    async def create(self) -> None:
        """Make the primary, and the standbys as copies of it; all of them run afterwards. Raises LoadFailed, TooLate."""
        self.directory.mkdir(parents=True)
        for name in ("primary", *STANDBYS):
            (self.directory / f"{name}-socket").mkdir()
        if self._user is not None:
            for path in (self.directory, *self.directory.iterdir()):
                shutil.chown(path, self._user, self._user)
        primary = self.directory / "primary"
        await self._tool("initdb", "-D", str(primary), "-A", "trust", "-U", ADMINISTRATOR, "-E", "UTF8")
        with (primary / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        await self._start("primary")
        for name in STANDBYS:
            source = f"host={self.socket_directory} port={PORT} user={ADMINISTRATOR} application_name={name}"
            target = str(self.directory / name)
            await self._tool("pg_basebackup", "-d", source, "-D", target, "-R", "-X", "stream", "-c", "fast")
            await self._start(name)
        await self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{SYNCHRONOUS}'")
        await self.sql("SELECT pg_reload_conf()")
        await self.wait_streaming()

    async def start(self) -> None:
        """Start all servers, and wait until both standbys stream. Raises TooLate."""
        for name in ("primary", *STANDBYS):
            await self._start(name)
        await self.wait_streaming()

    async def stop(self) -> None:
        """Stop all servers, the primary first; what is there stays."""
        for name in list(self._running):
            await self._running.pop(name).end(signal.SIGINT)

    async def sql(self, text: str) -> str:
        """What the primary answers. Raises LoadFailed."""
        return await self._psql("primary", text)

    async def wait_streaming(self) -> None:
        """Wait until both standbys stream and a commit waits for either. Raises TooLate."""
        expected = "\n".join(f"{name}|streaming|quorum" for name in STANDBYS)
        question = "SELECT application_name, state, sync_state FROM pg_stat_replication ORDER BY 1"

        async def both() -> bool:
            return await self.sql(question) == expected

        await until(both, deadline_s=START_DEADLINE_S, what="not both PostgreSQL standbys stream as a quorum")

    async def _start(self, name: str) -> None:
        sockets = self.directory / f"{name}-socket"
        command = [
            str(self.tools / "postgres"),
            "-D",
            str(self.directory / name),
            "-k",
            str(sockets),
            "-p",
            PORT,
        ]
        server = Server(command, self.directory / f"{name}.log", user=self._user)
        self._running[name] = server

        async def ready() -> bool:
            if not server.runs:
                raise TooLate(f"PostgreSQL {name} ended by itself: {server.tail()}")
            return (sockets / f".s.PGSQL.{PORT}").exists() and await self._answers(name)

        await until(ready, deadline_s=START_DEADLINE_S, what=f"PostgreSQL {name} does not answer")

    async def _answers(self, name: str) -> bool:
        try:
            return await self._psql(name, "SELECT 1") == "1"
        except LoadFailed:
            return False

    async def _psql(self, name: str, text: str) -> str:
        where = ["-h", str(self.directory / f"{name}-socket"), "-p", PORT, "-U", ADMINISTRATOR]
        return (await self._tool("psql", *where, "-d", ADMINISTRATOR, "-Atqc", text)).strip()

    async def _tool(self, name: str, *arguments: str) -> str:
        return await run_tool([str(self.tools / name), *arguments], self._user)
