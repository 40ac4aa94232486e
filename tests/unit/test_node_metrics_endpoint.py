"""The metrics endpoint answers one page to whoever asks properly, and costs little to whoever does not: bounded in bytes, time and connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from sento_node import metrics_endpoint
from sento_node.metrics_endpoint import MetricsEndpoint

PAGE = b"sento_boot_number 1.0\n"


def free_address() -> str:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{asked.getsockname()[1]}"


async def the_page() -> bytes:
    return PAGE


@contextlib.asynccontextmanager
async def listening(render: Callable[[], Awaitable[bytes]] = the_page) -> AsyncIterator[str]:
    address = free_address()
    endpoint = await MetricsEndpoint.open(address, render)
    try:
        yield address
    finally:
        await endpoint.close()


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.partition(":")
    return await asyncio.open_connection(host, int(port))


async def ask(address: str, request: bytes) -> tuple[str, bytes]:
    """The status line and the body."""
    reader, writer = await connect(address)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().partition("\r\n")[0], body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n".encode()


async def test_the_page_is_given_under_its_path_with_its_type_and_length() -> None:
    async with listening() as address:
        reader, writer = await connect(address)
        writer.write(get("/metrics"))
        answer = await reader.read()
        writer.close()
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "text/plain; version=0.0.4" in head
    assert f"Content-Length: {len(PAGE)}" in head
    assert body.encode() == PAGE


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/metrics?name=x"), "HTTP/1.1 200 OK"),
        (get("/"), "HTTP/1.1 404 Not Found"),
        (get("/metrics/../../etc/passwd"), "HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
    ],
)
async def test_anything_but_a_get_of_the_page_is_told_so(request_bytes: bytes, status: str) -> None:
    async with listening() as address:
        assert (await ask(address, request_bytes))[0] == status


async def test_a_page_that_cannot_be_made_is_an_error_without_words_and_the_next_is_given() -> None:
    pages: Iterator[bytes | Exception] = iter([ValueError("a caller's own words"), PAGE])

    async def render() -> bytes:
        page = next(pages)
        if isinstance(page, Exception):
            raise page
        return page

    async with listening(render) as address:
        status, body = await ask(address, get("/metrics"))
        assert (status, b"own words" in body) == ("HTTP/1.1 500 Internal Server Error", False)
        assert await ask(address, get("/metrics")) == ("HTTP/1.1 200 OK", PAGE)


async def test_a_request_without_an_end_is_cut_off_at_its_bound() -> None:
    async with listening() as address:
        with contextlib.suppress(ConnectionError):
            assert await ask(address, b"GET /" + b"a" * 100_000) == ("", b"")
        assert (await ask(address, get("/metrics")))[1] == PAGE


async def test_silent_connections_are_bounded_and_end_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_endpoint, "REQUEST_TIMEOUT_S", 0.2)
    monkeypatch.setattr(metrics_endpoint, "CONNECTIONS_MAX", 2)
    async with listening() as address:
        silent = [await connect(address) for _ in range(2)]
        one_too_many, its_writer = await connect(address)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await one_too_many.read() == b""
            for reader, _ in silent:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        for writer in (its_writer, *(writer for _, writer in silent)):
            writer.close()
        assert (await ask(address, get("/metrics")))[1] == PAGE


async def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    async with listening() as address:
        with pytest.raises(OSError, match="in use"):
            await MetricsEndpoint.open(address, the_page)


async def test_closing_ends_open_connections_and_frees_the_port() -> None:
    address = free_address()
    endpoint = await MetricsEndpoint.open(address, the_page)
    reader, writer = await connect(address)
    writer.write(b"GET /metrics")
    await writer.drain()
    await endpoint.close()
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(address)
