"""Who trades during a run: three bots of different habits, on the simulated market."""

import httpx

from tests.system.instance import Instance, wait_until
from tests.system.judge import exchange_balances
from tests.system.scenario import BUILT_IN, EVERY_CLOSE, PROTECTED, WALK, Desk
from tests.system.trader import Trader

_AMOUNT = "200"  # USDT, each bot's cap
_GIVEN = "10000000"  # USDT


def open_soak_desk(instance: Instance) -> Desk:
    """Register a trader and switch on a bot that trades each close, one that protects, and the EMA cross."""
    person = Trader(instance.url)
    person.register("lea")
    simex_url, database_url = instance.setting("SIMEX_URL"), instance.setting("DATABASE_URL")
    desk = Desk(instance, person, simex_url, database_url, market=WALK)
    for account in exchange_balances(simex_url).keys() - BUILT_IN:
        # Calls buy for hours and sell at the end only: the account must not run dry.
        body = {"account_id": account, "asset": "USDT", "amount": _GIVEN}
        httpx.post(f"{simex_url}/__sim/deposit", json=body, timeout=10.0).raise_for_status()
    balances = exchange_balances(simex_url).items()
    desk.deposits = {account: held for account, held in balances if account not in BUILT_IN}
    broker = person.simulateur()["id"]
    wait_until(
        lambda: any(row["symbol"] == WALK.symbol for row in person.all("/api/symbols/", broker=broker)),
        timeout_s=60,
        what="the markets are loaded",
    )
    codes = {"À chaque clôture": EVERY_CLOSE, "Protégée": PROTECTED}
    strategies = [
        person.post("/api/strategies/", name=name, description="", code=code, timeframe="1m")["id"]
        for name, code in codes.items()
    ]
    for strategy in (*strategies, person.example_strategy()["id"]):
        bot = person.start_bot(strategy=strategy, broker=broker, symbol=WALK.symbol, timeframe="1m", amount=_AMOUNT)
        desk.bots.append(bot["id"])
    return desk
