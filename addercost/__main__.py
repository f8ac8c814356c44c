"""`python -m addercost` and the command `addercost`.

Until a command is supervised, Ctrl-C ends the process at once and without a traceback.
"""

# `signal` itself is Python code, in which Ctrl-C would come too early.
import _signal as signal  # type: ignore[import-not-found]

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from addercost.cli import main

if __name__ == "__main__":
    main()
