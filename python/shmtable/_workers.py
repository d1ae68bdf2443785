"""Workers of `multiprocessing`: they keep tables mapped from one task to the next."""

from __future__ import annotations

import os
import sys
from multiprocessing.util import Finalize

from shmtable._native import release_warm_tables

# The process whose end was seen to.
_process: int | None = None


def is_worker() -> bool:
    """Whether `multiprocessing` started this process. If so, tables go when it ends."""
    global _process
    module = sys.modules.get("multiprocessing.process")
    if module is None or module.parent_process() is None:
        return False
    if _process != os.getpid():
        _process = os.getpid()
        Finalize(None, release_warm_tables, exitpriority=-100)
    return True
