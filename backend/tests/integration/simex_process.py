"""A simulated exchange of a test's own, as a child process."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
READY_TIMEOUT_S = 30.0


@dataclass
class SimexProcess:
    """Started by `start`, stopped by `kill`; a second `start` takes the same port and data folder."""

    arguments: list[str]
    port: int = 0
    url: str = ""
    process: asyncio.subprocess.Process | None = field(default=None)

    async def start(self) -> None:
        """Start and wait for the line that says where it listens."""
        command = [sys.executable, "-m", "simex", "--port", str(self.port), *self.arguments]
        self.process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        if self.process.stdout is None:
            raise RuntimeError("simex has no output")
        async with asyncio.timeout(READY_TIMEOUT_S):
            line = (await self.process.stdout.readline()).decode()
        if not line.startswith("simex ready on "):
            raise RuntimeError(f"simex did not start: {line!r}")
        self.url = line.split()[3]
        self.port = int(self.url.rsplit(":", 1)[1])

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def ws_url(self) -> str:
        return self.url.replace("http://", "ws://")

    async def get(self, path: str, **params: Any) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            answer = await http.get(self.url + path, params=params)
            answer.raise_for_status()
            return answer.json()

    async def post(self, path: str, **body: Any) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            answer = await http.post(self.url + path, json=body)
            answer.raise_for_status()
            return answer.json()


@asynccontextmanager
async def simex(*arguments: str) -> AsyncIterator[SimexProcess]:
    """Run `python -m simex` on a free port for the length of a block."""
    process = SimexProcess(list(arguments))
    await process.start()
    try:
        yield process
    finally:
        await process.kill()
