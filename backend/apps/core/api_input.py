"""What a request may hold, read through a serializer."""

from typing import Any

from rest_framework.serializers import Serializer


def validated(serializer: type[Serializer[Any]], given: Any, *, partial: bool = False) -> dict[str, Any]:
    """Return what the serializer accepts of a body or of query parameters.

    Raises:
        ValidationError: answered as 400, with the fields' French sentences.
    """
    bound = serializer(data=given, partial=partial)
    bound.is_valid(raise_exception=True)
    accepted: dict[str, Any] = bound.validated_data
    return accepted
