"""What each room lets go, in the order in which it goes."""

from collections.abc import Sequence

from apps.accounts.retention import ACCOUNTS_RULES
from apps.core.heartbeat_retention import HEARTBEAT_RULES
from apps.core.services.retention import Rule
from apps.orders.retention import ORDERS_RULES
from apps.trading_engine.retention import ENGINE_RULES
from apps.webhooks.retention import WEBHOOK_RULES


def retention_rules() -> Sequence[Rule]:
    """Return the rules of all rooms; alerts (90 days) and the terminal's replies look after themselves."""
    rooms = (HEARTBEAT_RULES, ENGINE_RULES, WEBHOOK_RULES, ORDERS_RULES, ACCOUNTS_RULES)
    return [rule for rules in rooms for rule in rules]
