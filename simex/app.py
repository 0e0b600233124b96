"""The aiohttp application around a simulation."""

import asyncio
import contextlib
import sys
import traceback
from collections.abc import AsyncIterator

from aiohttp import web

from simex.api.admin import Admin
from simex.api.dispatch import Dispatcher
from simex.api.ws import StreamServer
from simex.api.ws_api import PATH, ApiConnection
from simex.simulation import Simulation


def make_app(sim: Simulation) -> web.Application:
    """Return the application: streams, admin, and REST for everything else."""
    app = web.Application(client_max_size=1_000_000)
    streams = StreamServer(sim)
    app.router.add_get("/stream", streams.handle)
    app.router.add_get("/ws", streams.handle)
    app.router.add_get("/ws/{tail:.*}", streams.handle)
    app.router.add_get(PATH, StreamServer(sim, ApiConnection).handle)
    app.router.add_routes(Admin(sim).routes())
    app.router.add_route("*", "/{tail:.*}", Dispatcher(sim).handle)

    async def market(_app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(sim.run_market()), asyncio.create_task(sim.run_depth_streams())]
        for task in tasks:
            task.add_done_callback(_stop_if_broken)
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        sim.close()

    app.cleanup_ctx.append(market)
    return app


def _stop_if_broken(task: asyncio.Task[None]) -> None:
    """A market that stopped by a defect stops the program: it never looks alive when dead."""
    if task.cancelled() or task.exception() is None:
        return
    traceback.print_exception(task.exception(), file=sys.stderr)
    asyncio.get_running_loop().stop()


async def serve(sim: Simulation, started: asyncio.Event | None = None) -> None:
    """Serve until cancelled; the first line printed tells the address."""
    runner = web.AppRunner(make_app(sim), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, sim.options.host, sim.options.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"simex ready on http://{host}:{port} run {sim.run}\n")
        sys.stdout.flush()
        if started is not None:
            started.set()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
