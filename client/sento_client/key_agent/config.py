"""`key-agent.toml`: where a key agent listens, whose client it reads the ledger with, and where its log lies; every mistake named with its field.

    name = "agent-1"                                    the reader that governance names as the agent; its certificate is of /key-agent/agent-1
    client = "sento.toml"                               the agent's own client: its seal key opens the KEKs
    [listen]   address = "127.0.0.1:7401"
    [tls]      ca, certificate, key                     paths of PEM files
    [log]      directory = "log", max_mib = 64          size after which a new file is begun; it is also what the agent remembers of used access records

Paths are relative to the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_client.config import TlsFiles
from sento_client.setup_errors import Setup, SetupError
from sento_client.toml_table import Table, decode_document, read_config

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The decoded file; all paths are absolute."""

    path: Path
    name: str
    client: Path
    address: str
    tls: TlsFiles
    log_directory: Path
    log_max_bytes: int


def load_agent_config(path: Path) -> AgentConfig:
    """The configuration at `path`. Raises SetupError CONFIG_MISSING or CONFIG_INVALID with every mistake."""
    mistakes: list[str] = []
    root = Table(decode_document(read_config(path), path), "", path.absolute().parent, mistakes)
    name, client = root.name("name"), root.file("client")
    listen = root.table("listen")
    address = listen.address("address")
    listen.end()
    tls = root.table("tls")
    files = TlsFiles(tls.file("ca"), tls.file("certificate"), tls.file("key"))
    tls.end()
    log = root.table("log", optional=True)
    directory, max_bytes = log.file("directory", "log"), log.number("max_mib", 1, 65_536, 64) * _MIB
    log.end()
    root.end()
    if mistakes:
        raise SetupError(Setup.CONFIG_INVALID, *mistakes)
    return AgentConfig(path.absolute(), name, client, address, files, directory, max_bytes)
