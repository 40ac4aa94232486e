"""The load on etcd where there is no Go: grpc.aio with requests as bytes, so that no Python object is made for what is the same every time.

Takes the arguments of `etcdload` and prints the same figures; the bench starts several, because one Python process cannot fill a cluster.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence

import grpc
import uvloop

from sento_drill.bench.loading import measure, probe

PUT, TXN, RANGE = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/Range"
_FIELD_1, _FIELD_2 = b"\x0a", b"\x12"
"""Tags of length-delimited fields 1 and 2."""
_PRELOAD_BATCH = 100


def field(tag: bytes, value: bytes) -> bytes:
    """A length-delimited field: tag, length as a varint, value."""
    length, out = len(value), bytearray(tag)
    while length >= 0x80:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out) + value


def put(key: bytes, value: bytes) -> bytes:
    """A PutRequest."""
    return field(_FIELD_1, key) + field(_FIELD_2, value)


def txn(keys: Sequence[bytes], value: bytes) -> bytes:
    """A TxnRequest without a condition that puts all keys."""
    return b"".join(field(_FIELD_2, field(_FIELD_2, put(key, value))) for key in keys)


class EtcdLoad:
    """Calls over channels to the members that were named."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._arguments = arguments
        self._channels = [
            grpc.aio.insecure_channel(endpoint, options=options)
            for endpoint in arguments.endpoints.split(",")
            for _ in range(arguments.connections)
        ]
        self._turns = itertools.cycle(self._channels)
        self._prefix = f"r/{secrets.token_hex(4)}/"
        self._serials = itertools.count(1)
        self._value = os.urandom(arguments.value_bytes)

    def key(self, serial: int) -> bytes:
        """The key of that number."""
        return f"{self._prefix}{serial:012d}".encode("ascii")

    def new_keys(self, n: int) -> Iterator[bytes]:
        """Keys that were not used before."""
        return (self.key(next(self._serials)) for _ in range(n))

    def writer(self, batch: int) -> Callable[[], Awaitable[bool]]:
        """A caller's step: one put, or one transaction."""
        channel = next(self._turns)
        call = self._call(channel, PUT if batch == 1 else TXN)

        async def step() -> bool:
            keys = list(self.new_keys(batch))
            message = put(keys[0], self._value) if batch == 1 else txn(keys, self._value)
            return await call(message) is not None

        return step

    def reader(self) -> Callable[[], Awaitable[bool]]:
        """A caller's step: one linearizable get; an answer without the value has failed."""
        call = self._call(next(self._turns), RANGE)

        async def step() -> bool:
            key = self.key(1 + random.randrange(self._arguments.preload))  # noqa: S311 - which key is no secret
            answer = await call(field(_FIELD_1, key))
            return answer is not None and len(answer) >= len(self._value)

        return step

    async def fill(self) -> None:
        """Write what is to be read. Raises SystemExit when it cannot."""
        step = self.writer(_PRELOAD_BATCH)
        for _ in range(-(-self._arguments.preload // _PRELOAD_BATCH)):
            if not await step():
                sys.exit("cannot write what is to be read")

    async def run(self) -> None:
        """What the mode says; prints the figures."""
        arguments = self._arguments
        if arguments.mode == "probe":
            steps = [self.writer(1) for _ in self._channels]
            turns = itertools.cycle(steps)

            async def next_member() -> bool:
                return await next(turns)()

            await probe(next_member, arguments.every_ms)
        if arguments.mode == "read":
            await self.fill()
        make = self.reader if arguments.mode == "read" else lambda: self.writer(arguments.batch)
        steps = [make() for _ in range(arguments.callers)]
        print(await measure(steps, arguments.warm_up, arguments.seconds))

    def _call(self, channel: grpc.aio.Channel, path: str) -> Callable[[bytes], Awaitable[bytes | None]]:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        timeout_s = self._arguments.timeout_ms / 1000

        async def call(message: bytes) -> bytes | None:
            try:
                return bytes(await method(message, timeout=timeout_s))
            except grpc.aio.AioRpcError:
                return None

        return call


def main(words: Sequence[str]) -> None:
    """Load etcd as the arguments say."""
    parser = argparse.ArgumentParser(prog="etcd_load", description=__doc__)
    parser.add_argument("-endpoints", required=True)
    parser.add_argument("-mode", choices=("write", "read", "probe"), default="write")
    whole = {"connections": 1, "callers": 1, "batch": 1, "value-bytes": 1024, "preload": 5000}
    for name, default in {**whole, "every-ms": 10, "timeout-ms": 10_000}.items():
        parser.add_argument(f"-{name}", type=int, default=default)
    parser.add_argument("-warm-up", type=float, default=1.0)
    parser.add_argument("-seconds", type=float, default=5.0)
    arguments = parser.parse_args(words)

    async def load() -> None:
        await EtcdLoad(arguments).run()

    uvloop.run(load())


if __name__ == "__main__":
    main(sys.argv[1:])
