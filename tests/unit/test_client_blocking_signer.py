"""A signing key that takes its time, as a token does: others go on meanwhile, order is kept, and a refusal reaches the callers in words."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from client_world import NUMBER
from sento_client import Code, Draft, SentoClient, WriteError
from sento_client.results import WriteResult
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing import Registry
from sento_proto.keys import PublicKey, Signature, Signer

SLOW_S = 10


class HeldSigner:
    """A signer that signs when the test lets it; `refuses` makes it fail like a token that is gone."""

    blocking = True

    def __init__(self, inner: Signer) -> None:
        self._inner = inner
        self.may_sign = threading.Event()
        self.asked = threading.Event()
        self.refuses = False

    @property
    def public_key(self) -> PublicKey:
        return self._inner.public_key

    def sign(self, message: bytes) -> Signature:
        self.asked.set()
        assert self.may_sign.wait(SLOW_S)
        if self.refuses:
            raise SetupError(Setup.TOKEN_FAILED, "token ministry was pulled out")
        return self._inner.sign(message)


def held(registry: Registry) -> tuple[SentoClient, HeldSigner]:
    client = registry.client()
    signer = client._installation.signer
    assert signer is not None
    slow = HeldSigner(signer)
    client._installation = replace(client._installation, signer=slow)
    return client, slow


def draft(fact: str) -> Draft:
    return Draft("residency", "residence/entry", NUMBER, fact, "x")


async def asked(signer: HeldSigner) -> None:
    assert await asyncio.to_thread(signer.asked.wait, SLOW_S)


async def test_while_a_token_signs_the_event_loop_is_free_and_the_write_ends_well() -> None:
    client, signer = held(Registry(seed=1))
    async with client:
        writing = asyncio.create_task(client.write_many([draft("a")]))
        await asked(signer)
        assert not writing.done()
        signer.may_sign.set()
        (done,) = await writing
    assert not isinstance(done, Exception)


async def test_submissions_signed_on_the_thread_keep_the_order_of_their_records() -> None:
    client, signer = held(Registry(seed=1))
    async with client:
        writing = [asyncio.create_task(client.write_many([draft(f"f{n}")])) for n in range(5)]
        await asked(signer)
        signer.may_sign.set()
        results = [result for done in await asyncio.gather(*writing) for result in done]
    positions = [result.position for result in results if not isinstance(result, Exception)]
    assert positions == sorted(positions)
    assert len(positions) == 5


async def test_a_token_pulled_out_while_it_signs_is_told_to_the_caller_and_nothing_is_written() -> None:
    registry = Registry(seed=1)
    client, signer = held(registry)
    async with client:
        signer.refuses = True
        signer.may_sign.set()
        (refused,) = await client.write_many([draft("a")])
        assert isinstance(refused, WriteError)
        assert refused.code is Code.SIGNER_FAILED
        assert "pulled out" in str(refused)
        signer.refuses = False
        (done,) = await client.send([refused.record])
    assert not isinstance(done, Exception)


async def test_a_client_left_with_an_error_while_a_token_signs_ends_its_callers() -> None:
    client, signer = held(Registry(seed=1))
    writing: list[asyncio.Task[list[WriteResult]]] = []

    async def fail_meanwhile() -> None:
        async with client:
            writing.append(asyncio.create_task(client.write_many([draft("a")])))
            await asked(signer)
            raise RuntimeError("the program failed")

    with pytest.raises(RuntimeError, match="the program failed"):
        await fail_meanwhile()
    signer.may_sign.set()
    (refused,) = await writing[0]
    assert isinstance(refused, WriteError)
