"""Replays what bots decided over the stored candles: a bot must decide in its past what it decided live.

`book` is the only writer of `parity_runs` and `parity_differences`; `watch` works in terminal 3, behind
everything else: a signal never waits for it.
"""
