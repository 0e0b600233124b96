"""Where prices come from: the seeded walk, recordings, candles and the synthetic book."""
