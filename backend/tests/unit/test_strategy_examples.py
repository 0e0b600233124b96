"""The shipped examples are read by French-speaking people."""

import re

import pytest

from apps.strategies.examples import EXAMPLES, Example

_ENGLISH = re.compile(r"\b(buy|sell|crosses|above|below|the|when|if there)\b", re.IGNORECASE)
_WORDS = re.compile(r'"""(.*?)"""|#([^\n]*)|"label": "([^"]*)"', re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_words_of_an_example_are_french(example: Example) -> None:
    said = [" ".join(found).strip() for found in _WORDS.findall(example.code)]
    assert said
    assert [words for words in said if _ENGLISH.search(words)] == []
