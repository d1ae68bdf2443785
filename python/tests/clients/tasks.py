"""The Celery application of the tests: its broker and its results are folders."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery
from shmtable import SharedDict

folder = Path(os.environ["SHMTABLE_FOLDER"])
for part in ("broker", "results"):
    (folder / part).mkdir(exist_ok=True)

app = Celery("tasks", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder / "broker"),
        "data_folder_out": str(folder / "broker"),
        "control_folder": str(folder / "broker"),
    },
    # A task whose process was killed is done again.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


def table() -> SharedDict[str, int]:
    return SharedDict.open(os.environ["SHMTABLE_NAME"])


@app.task
def hit(n: int) -> int:
    with table() as d:
        d.add("hits")
        return n


def compute() -> int:
    with table() as d:
        d["computing"] = os.getpid()
        if d.add("computations") == 1:
            # The first one is killed meanwhile.
            time.sleep(600)
    return 42


@app.task
def page() -> int:
    with table() as d:
        d.add("asking")
        return d.get_or_compute("page", compute)
