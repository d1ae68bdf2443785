"""Do the examples run, and print what they should?"""

import ast
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "python"


def run(name: str) -> str:
    """What an example prints; nothing else, and nothing left behind."""
    finished = subprocess.run(
        [sys.executable, EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def test_every_example_is_in_this_file() -> None:
    here = Path(__file__).read_text()
    examples = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert examples
    assert [name for name in examples if f'run("{name}")' not in here] == []


def test_workers_of_a_queue_fill_a_dict_that_the_parent_reads() -> None:
    assert ast.literal_eval(run("queue_workers.py")) == {n: n**2 for n in range(20)}


def test_two_processes_lose_nothing_if_they_write_atomically() -> None:
    two_steps, atomically = run("two_processes.py").splitlines()
    assert atomically == "atomically: {1: '111', '2': 6}"
    # Of two read-and-write steps that overlap, one is lost.
    assert re.fullmatch(r"two_steps: \{1: '11{1,2}', '2': [46]\}", two_steps)


def test_a_pool_writes_into_the_dict_it_is_given() -> None:
    written = ast.literal_eval(run("pool.py"))
    assert 1 <= len(written) <= 10
    for pid, text in written.items():
        assert text == f"Hi, I was written by process {pid}"


def test_the_program_at_the_head_of_the_readme_runs(tmp_path: Path) -> None:
    readme = (EXAMPLES.parents[1] / "README.md").read_text()
    head = "\n".join(readme.splitlines()[:40])
    program = head.split("```python\n")[1].split("```")[0]
    script = tmp_path / "program.py"
    script.write_text(program)
    finished = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    expected = "".join(f"{line}\n" for line in re.findall(r"print\(.*# (.*)", program))
    assert (finished.stdout, finished.stderr) == (expected, "")
