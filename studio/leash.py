"""A process that ends when the one that started it does, even where that one was killed.

    python -m studio.leash run quick --json

is `python main.py run quick --json`, stopped as if by Ctrl-C when its standard input is closed. Whoever starts it keeps
the other end of a pipe open; the system closes that however the process ends.
"""

from __future__ import annotations

import _thread
import os
import signal
import stat
import sys
import threading
import time

PATIENCE = 5.0  # seconds for the interrupted command to clean up
STDIN = 0


def end_with_input(patience: float = PATIENCE) -> None:
    """From now on, raise KeyboardInterrupt in the main thread when the standard input ends.

    Only where that is a pipe: what is read from a terminal or from a file says nothing about who started this.
    """
    try:
        mode = os.fstat(STDIN).st_mode
    except OSError:
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so it is below a shell that does not wait for it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_watch, args=(patience,), name="leash", daemon=True).start()


def _watch(patience: float) -> None:
    try:
        while os.read(STDIN, 4096):  # not sys.stdin, whose lock would stop the interpreter from ending
            pass
    except OSError:
        pass
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)  # wakes it where it sleeps
    else:
        _thread.interrupt_main()
    time.sleep(patience)
    os._exit(130)


if __name__ == "__main__":
    end_with_input()
    from studio.cli import main

    sys.exit(main(sys.argv[1:]))
