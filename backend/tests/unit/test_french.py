"""Numbers in French sentences."""

from decimal import Decimal

import pytest

from domain.french import number


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("43159.50", "43\u202f159,5"),
        ("1234567", "1\u202f234\u202f567"),
        ("0.00000123", "0,00000123"),
        ("1E-8", "0,00000001"),
        ("1E+3", "1\u202f000"),
        ("-0.10", "\u22120,1"),
        ("-1234.5", "\u22121\u202f234,5"),
        ("0", "0"),
        ("-0.00", "0"),
    ],
)
def test_number_is_written_with_a_comma_and_thin_spaces(value: str, written: str) -> None:
    assert number(Decimal(value)) == written
