"""The command `shmtable`: the script that pip installs, and `python -m shmtable`.

It is the program that `cargo install` builds, from the same source. It writes to the descriptors
1 and 2, and not to `sys.stdout`, which may be another object.
"""

import os
import signal
import sys

from shmtable._native import run_command


def main() -> int:
    """Runs the command with the arguments of this process, and returns its exit status."""
    _be_a_plain_process()
    return run_command(sys.argv[1:])


def _be_a_plain_process() -> None:
    """Undoes what Python does to signals, and opens the standard streams that are closed."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Python's would only set a flag, which nobody looks at while the command runs.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A table that is opened must not get the descriptor that the output goes to.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free, and so this one.
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    sys.exit(main())
