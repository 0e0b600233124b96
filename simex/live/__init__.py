"""Source `live:URL`: another Binance-compatible exchange, relayed as a market of simex's own."""
