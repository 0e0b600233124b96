"""Performance, side by side: every figure is a ratio of two measures taken in the same run."""
