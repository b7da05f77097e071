"""microburst's process, on any free port, with two things that it does not do by itself. It prints its address.

It is run by the emulator's Python, which has microburst and nothing of this project.

- microburst leaves out the length of every answer. Here a HEAD's answer keeps it: it has nothing else to tell by.
- microburst cuts an answer within its body. Here an answer that has none is lost, too, when its first byte should be.
"""
# ruff: noqa: SLF001 - microburst offers no other way in; its version is pinned

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web
from microburst import forward
from microburst.app import make_app
from microburst.core.pipeline import Microburst

HOST = "127.0.0.1"
_to_client = forward._stream_to_client


async def to_client(
    request: web.Request, status: int, headers: Mapping[str, str], mutator: Any, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    if mutator is not None and mutator.abort_bytes == 0:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    if request.method == "HEAD":
        return web.Response(status=status, headers=headers)
    response: web.StreamResponse = await _to_client(request, status, headers, mutator, chunks)
    return response


async def main(upstream: str) -> None:
    forward._stream_to_client = to_client
    runner = web.AppRunner(make_app(Microburst(upstream)), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    ((host, port),) = runner.addresses
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
