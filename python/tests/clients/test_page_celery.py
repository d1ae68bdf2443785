"""Do the tasks of the page about Celery do what the page says?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import pages
import servers

# Behind the page's `tasks.py`: tells which process has a task, and lets Celery wait less.
ADDED = """
import os
from celery.signals import task_prerun

app.conf.worker_lost_wait = 0.5
app.conf.broker_transport_options["polling_interval"] = 0.05

@task_prerun.connect
def tell(task, **_):
    shared["process", task.name] = os.getpid()
"""
SENDER = "from tasks import rebuild; print(rebuild.delay('films').get(timeout=100, interval=.1))"


def test_tasks_share_and_a_killed_one_is_done_again(name: str, tmp_path: Path) -> None:
    page = pages.Page("celery.md", tmp_path, name)
    (tmp_path / "tasks.py").write_text(page.files["tasks.py"] + ADDED)
    command = "celery --app tasks worker --concurrency 4"
    assert page.prints(command) == ""
    with servers.running(tmp_path / "log", *command.split()) as worker:
        page.try_program("send.py")

        shared = SharedDict.open(name)
        start = [sys.executable, "-c", SENDER]
        with subprocess.Popen(start, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as sender:
            servers.eventually(
                "it is being rebuilt", lambda: shared.get(("percent", "films"), 0) >= 20, worker
            )
            first = shared["process", "tasks.rebuild"]
            os.kill(first, signal.SIGKILL)
            assert sender.communicate(timeout=servers.GUARD) == ("rebuilt\n", None)
        assert shared["percent", "films"] == 100
        assert shared["process", "tasks.rebuild"] != first
