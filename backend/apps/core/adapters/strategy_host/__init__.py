"""Runs users' code in sandboxed processes.

Terminal 3 owns a `host`, which starts a clean `zygote` (no keys, no database URL, one thread, pandas already
imported), which forks one `child` per evaluation, which closes the `jail` around itself before it reads the
user's code. Nothing of a child comes back but a bounded, checked JSON message (`protocol`).
"""
