"""A pool whose workers all write into the dict that each of them is given."""

from __future__ import annotations

import multiprocessing as mp
import os
import pprint
from itertools import repeat

from shmtable import SharedDict


def f(d: SharedDict[int, str]) -> None:
    pid = os.getpid()
    d[pid] = "Hi, I was written by process %d" % pid


if __name__ == "__main__":
    d: SharedDict[int, str] = SharedDict()
    with mp.Pool() as pool:
        pool.map(f, repeat(d, 10))
    pprint.pprint(dict(d))
