"""Local servers that answer as Bitget, Kraken and OKX do on spot, for what our orders need of them."""
