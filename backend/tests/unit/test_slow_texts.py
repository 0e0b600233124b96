"""Which strategies start behind the others."""

from apps.core.adapters.strategy_host.slow_texts import SlowTexts


def test_text_is_slow_until_it_was_quick_twenty_times_in_a_row() -> None:
    slow = SlowTexts()
    slow.note("slow", was_long=True)
    slow.note("quick", was_long=False)
    for _ in range(19):
        slow.note("slow", was_long=False)
    assert ("slow" in slow, "quick" in slow) == (True, False)

    slow.note("slow", was_long=True)
    for _ in range(19):
        slow.note("slow", was_long=False)
    assert "slow" in slow

    slow.note("slow", was_long=False)
    assert "slow" not in slow


def test_oldest_of_very_many_slow_texts_is_forgotten() -> None:
    slow = SlowTexts()
    for number in range(257):
        slow.note(f"text {number}", was_long=True)
    assert ("text 0" in slow, "text 1" in slow, "text 256" in slow) == (False, True, True)


def test_question_without_a_text_is_not_remembered() -> None:
    slow = SlowTexts()
    slow.note("", was_long=True)
    assert "" not in slow
