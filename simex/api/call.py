"""A request as the handlers see it, and the table of routes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simex.api.weights import Limits
from simex.engine.errors import ApiError, missing
from simex.engine.state import Account
from simex.faults import Fault
from simex.market.symbols import SymbolRules
from simex.simulation import Simulation

SIGNED_PARAMETERS = frozenset({"timestamp", "recvWindow"})


@dataclass
class Call:
    """One request being answered."""

    sim: Simulation
    limits: Limits
    method: str
    path: str
    params: dict[str, str]
    payload: str = ""
    signature: str | None = None
    api_key: str | None = None
    address: str = ""
    account: Account | None = None
    order_id: int | None = None
    planned: Fault | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Id of the account that signed.

        Raises:
            ApiError: the route is not signed (a defect of the route table).
        """
        if self.account is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return self.account.account_id

    def rules(self, name: str = "symbol") -> SymbolRules:
        """Return the rules of the symbol parameter.

        Raises:
            ApiError: -1102 when absent, -1121 when unknown.
        """
        symbol = self.params.get(name)
        if not symbol:
            raise missing(name)
        rules = self.sim.rules.get(symbol)
        if rules is None:
            raise ApiError(-1121, "Invalid symbol.")
        return rules

    def integer(self, name: str, default: int | None = None) -> int | None:
        """Return an integer parameter.

        Raises:
            ApiError: -1100 when it is none.
        """
        text = self.params.get(name)
        if text is None:
            return default
        if not text.isdigit() or len(text) > 18:
            raise ApiError(
                -1100,
                f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.",
            )
        return int(text)

    def limit(self, default: int, most: int) -> int:
        """Return the `limit` parameter, cut to what the route gives."""
        wanted = self.integer("limit", default) or default
        return min(wanted, most)


Handler = Callable[[Call], Any]
SlowHandler = Callable[[Call], Awaitable[Any]]
Weight = int | Callable[[Mapping[str, str]], int]


@dataclass(frozen=True)
class Route:
    """What a path needs and costs."""

    handler: Handler
    weight: Weight = 1
    signed: bool = False
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    is_slow: Callable[[Mapping[str, str]], bool] | None = None
    any_parameters: bool = False

    def cost(self, params: Mapping[str, str]) -> int:
        """Return the weight of a request."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)

    def check_parameters(self, params: Mapping[str, str]) -> None:
        """Refuse unknown and missing parameters.

        Raises:
            ApiError: -1104 or -1102.
        """
        if self.any_parameters:
            return
        known = {*self.required, *self.optional, *(SIGNED_PARAMETERS if self.signed else ())}
        unknown = [name for name in params if name not in known]
        if unknown:
            raise ApiError(
                -1104,
                f"Not all sent parameters were read; read '{len(params) - len(unknown)}' "
                f"parameter(s) but was sent '{len(params)}'.",
            )
        for name in self.required:
            if not params.get(name):
                raise missing(name)


Routes = dict[tuple[str, str], Route]
