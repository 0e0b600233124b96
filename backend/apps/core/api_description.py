"""What the generated description of the API says of every operation: the shape of its refusals."""

from typing import Any

ERROR = {
    "type": "object",
    "description": "Every refusal: a stable code, a French sentence with its cause and values, and what they are.",
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "details": {"type": "object", "additionalProperties": {}},
    },
    "required": ["code", "details", "message"],
}
_REFUSAL = {
    "description": "Refus",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def describe_refusals(result: Any, generator: Any, request: Any, public: bool) -> Any:
    """drf-spectacular's hook: adds the refusals (4XX, and 5XX for another service's) to every operation."""
    result["components"]["schemas"]["Error"] = ERROR
    for methods in result["paths"].values():
        for operation in methods.values():
            operation["responses"] |= {"4XX": _REFUSAL, "5XX": _REFUSAL}
    return result
