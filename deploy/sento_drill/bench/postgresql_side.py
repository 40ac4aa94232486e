"""PostgreSQL's side: its own load generator, pgbench, with prepared statements, inserts rows of 1 KiB; a batch is one insert of 100 rows.

A caller is a connection, as pgbench has it. Keys come from an identity column, the cheapest unique key that there is. A row's body is text without
backslashes given as `bytea`, which the server takes as it is: hexadecimal would be twice as long and would have to be decoded.
"""

from __future__ import annotations

import base64
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from sento_drill.bench.calls import Calls, calls_of_pgbench_log
from sento_drill.bench.postgresql_servers import ADMINISTRATOR, PORT, PostgresqlServers
from sento_drill.bench.sides import POSTGRESQL, Load
from sento_drill.bench.works import PEER_VALUE_BYTES, RUN_ON_S, Timing, Work

THREADS = 2
_TABLE = "CREATE TABLE records (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL)"
_LOG_PREFIX = "pgbench-log"


def insert_script(rows: int) -> str:
    """One statement that inserts so many rows: a transaction of its own."""
    return f"INSERT INTO records (body) VALUES {', '.join(['(:body)'] * rows)};\n"  # noqa: S608 - nothing in it comes from anybody


def connecting_s(callers: int) -> float:
    """What pgbench is given beyond the window, because its time runs while it still connects; a window is cut from the first transaction on."""
    return 2.0 + callers / 32


class PostgresqlSide:
    """Servers that keep their directories from run to run; every run begins with an empty table."""

    name = POSTGRESQL

    def __init__(self, directory: Path, tools: Path, user: str | None) -> None:
        self._directory = directory
        self._cluster = PostgresqlServers(directory / "servers", tools, user)
        self._created = False
        self._body = base64.b64encode(os.urandom(PEER_VALUE_BYTES)).decode("ascii")[:PEER_VALUE_BYTES]

    def servers(self) -> Mapping[str, int]:
        """Role -> process id."""
        return self._cluster.servers()

    async def start(self) -> None:
        """Start the servers with an empty table. Raises TooLate, LoadFailed."""
        if self._created:
            await self._cluster.start()
            await self._cluster.sql("TRUNCATE records")
        else:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True)
            await self._cluster.create()
            await self._cluster.sql(_TABLE)
            self._created = True
        await self._cluster.sql("CHECKPOINT")

    async def stop(self) -> None:
        """Stop the servers."""
        await self._cluster.stop()

    def writing(self, work: Work, timing: Timing) -> Load:
        """pgbench with one connection a caller."""
        logs = self._directory / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        script = logs / "insert.sql"
        script.write_text(insert_script(work.batch), encoding="ascii")
        seconds = math.ceil(timing.warm_up_s + timing.seconds + RUN_ON_S + connecting_s(work.callers))
        where = ["-h", str(self._cluster.socket_directory), "-p", PORT, "-U", ADMINISTRATOR]
        how = [
            "-M",
            "prepared",
            "-c",
            str(work.callers),
            "-j",
            str(min(THREADS, work.callers)),
            "-T",
            str(seconds),
        ]
        log = ["-l", "--log-prefix", str(logs / _LOG_PREFIX)]
        what = ["-n", "-D", f"body={self._body}", "-f", str(script), ADMINISTRATOR]

        def calls(_: Sequence[str]) -> Calls:
            lines = [
                line
                for path in logs.glob(f"{_LOG_PREFIX}*")
                for line in path.read_text(encoding="ascii").splitlines()
            ]
            return calls_of_pgbench_log(lines, timing.warm_up_s, timing.seconds)

        return Load([[str(self._cluster.tools / "pgbench"), *where, *how, *log, *what]], calls)
