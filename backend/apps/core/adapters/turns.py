"""How long a thread of this process may calculate while another one waits for its turn."""

import sys

# A database thread asks for the interpreter twice a statement. By default it waits up to 5 ms for the loop each
# time: a transaction of sixteen statements then lasts longer in that queue than at work.
_TURN_S = 0.0005


def take_short_turns() -> None:
    """Let the loop and the database threads take turns every half millisecond."""
    sys.setswitchinterval(_TURN_S)
