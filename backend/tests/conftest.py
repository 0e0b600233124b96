"""What holds for all tests."""

from hypothesis import settings

# Hypothesis counts the clock's milliseconds of each example: on a busy machine that says nothing of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
