"""Why a call is refused, with what was understood of it until then."""

from domain.errors import InvalidInput


class CallRefused(InvalidInput):
    """A call that cannot be read or is not allowed; the message is shown in the journal as it is."""

    code = "call_refused"
