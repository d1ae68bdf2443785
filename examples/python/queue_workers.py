"""Workers take jobs from a queue and put the results into one dict.

The parent reads it after `join`; each worker sees what the others have produced.
"""

from __future__ import annotations

from multiprocessing import JoinableQueue, Process

from shmtable import SharedDict


def worker(jobs: JoinableQueue[int], results: SharedDict[int, int]) -> None:
    while True:
        number = jobs.get()
        results[number] = number * number  # at once in everybody's `results`
        jobs.task_done()


def main() -> None:
    jobs: JoinableQueue[int] = JoinableQueue()
    results: SharedDict[int, int] = SharedDict()
    for _ in range(4):
        Process(target=worker, args=(jobs, results), daemon=True).start()
    for number in range(20):
        jobs.put(number)
    jobs.join()
    print({number: results[number] for number in sorted(results)})


if __name__ == "__main__":
    main()
