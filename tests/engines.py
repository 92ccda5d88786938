"""A real engine in this process, and waiting for what it does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from django.db import connection

from workflows.engine import Engine
from workflows.models import Worker

Value = TypeVar("Value")


def in_engine(script: Callable[[Engine], Awaitable[None]]) -> None:
    async def main() -> None:
        engine = Engine(Worker.Kind.WEB, capacity=5)
        engine.begin_chores()
        try:
            await script(engine)
        finally:
            await engine.finish(0)
            await engine.close()

    asyncio.run(main())


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(and_close, condition):
            await asyncio.sleep(0.02)


def and_close(ask: Callable[[], Value]) -> Value:
    """What it gives, asked in a thread whose connection is closed then."""
    try:
        return ask()
    finally:
        connection.close()
