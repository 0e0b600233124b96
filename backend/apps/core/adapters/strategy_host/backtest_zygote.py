"""The zygote of backtests: its children have more memory and time, and give way to everything that is live.

It imports pandas at the priority of everybody else, for that ends in seconds, and gives way before its first child:
at the lowest priority the import alone would keep the first run of a busy machine waiting for half a minute.

Run by `backtest_host`: `python -m apps.core.adapters.strategy_host.backtest_zygote FD MEMORY CPU NICENESS`.
"""

import os
import sys

from apps.core.adapters.strategy_host.backtest_child import converse
from apps.core.adapters.strategy_host.zygote import main


def give_way(niceness: int) -> None:
    """Let others have the processor first: this process and all that it will fork.

    Where the kernel groups processes by session (the default of most systems), a priority counts inside the
    session only, so the session's own is lowered too.
    """
    os.nice(niceness)
    try:
        with open("/proc/self/autogroup", "w") as group:
            group.write(str(niceness))
    except OSError:
        return  # no such grouping here: the line above is enough


if __name__ == "__main__":
    main(sys.argv[1:4], talk=converse, prepared=lambda: give_way(int(sys.argv[4])))
