"""Does a handle go through Dask's cluster in as many tasks as one likes?"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import workers

# A program of its own: the cluster starts interpreters that import it.
PROGRAM = """
import sys
from dask.distributed import Client, LocalCluster
from shmtable import SharedDict

def visit(d, n):
    d.add('visits')
    return n

def compute():
    return 42

def look_up(d, n):
    d.add('asked')
    return d.get_or_compute('answer', compute)

if __name__ == '__main__':
    with LocalCluster(dashboard_address=None) as cluster, Client(cluster) as client:
        d = SharedDict()
        visits = client.map(visit, [d] * 500, range(500), pure=False)
        assert client.gather(visits) == list(range(500))
        closures = client.map(lambda n: d.add('closures'), range(300), pure=False)
        assert sorted(client.gather(closures)) == list(range(1, 301))
        scattered = client.scatter(d)
        answers = [client.submit(look_up, scattered, n, pure=False) for n in range(12)]
        assert client.gather(answers) == [42] * 12
        print(d['visits'], d['closures'], d['asked'])
"""


def test_hundreds_of_tasks_that_carry_the_handle_are_all_done(tmp_path: Path) -> None:
    printed = workers.output_of_file(PROGRAM, tmp_path, 2 * workers.GUARD)
    assert printed == "500 300 12\n"
