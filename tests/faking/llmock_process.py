"""llmock in a process of its own: says its address, and serves until its input ends.

Run by `llmock_server.py`. llmock has no switch for the time that a batch takes: it is set here, in seconds.
"""

import sys

from llmock.routers import batch
from llmock.testing import LLMockServer

batch._BATCH_DELAY = float(sys.argv[1])  # noqa: SLF001 - see above
with LLMockServer() as server:
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    sys.stdin.read()
