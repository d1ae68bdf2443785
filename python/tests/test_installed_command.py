"""Does the command that comes with the package do what the program `shmtable` does?

`SHMTABLE_COMMAND=.../bin/shmtable cargo test -p shmtable-cli` runs all tests of the program on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import shmtable
from shmtable import SharedDict

sys.path.insert(0, str(Path(__file__).parent))
import workers

SCRIPT = [str(Path(sys.executable).with_name("shmtable"))]
MODULE = [sys.executable, "-m", "shmtable"]

HELP_OF_NONE = ["--help", "-h", "--version", "", "help", "--json", "nonsense --json", "completions bash"]

# What is typed, in this order, of a table that is called T; each answer is the same in every run.
SESSION = [
    "create T --capacity 1000",
    "create T --capacity 1000",
    "create T --capacity 0",
    "put T text grün",
    "put T 5 [1,\"two\",null]",
    "put T -7 {\"$bin\":\"00ff\"}",
    "get T text 5 -7 nobody",
    "get T text --json",
    "get T nobody",
    "get T nobody --json",
    "get T --josn",
    "get T -- --josn",
    "get nosuch key",
    "get nosuch key --json",
    "add T hits 4",
    "add T hits -1 --json",
    "add T text",
    "max T hits 9",
    "min T hits 2",
    "cas T hits 2 3",
    "cas T hits 2 3",
    "take T hits",
    "count T",
    "sizes T --json",
    "scan T --match te*",
    "dump T --output dumped",
    "load T-copy dumped --create",
    "diff T T-copy",
    "put T-copy text other",
    "diff T T-copy --json",
    "rename T-copy T-other",
    "copy T T-other",
    "del T text nobody",
    "wait T nobody --timeout 10ms",
    "check T",
    "repair T",
    "gc T",
    "clear T",
    "top",
    "stat nosuch",
    "rm T T-other",
    "rm T",
    "load T missing-file --create",
]  # fmt: skip


class Answer(NamedTuple):
    status: int
    output: bytes
    errors: bytes


def answer(command: list[str], arguments: list[Any], **options: Any) -> Answer:
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, **options}
    done = subprocess.run([*command, *arguments], timeout=workers.GUARD, check=False, **options)
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def native() -> list[str]:
    return [workers.built("shmtable", "--package", "shmtable-cli")]


@pytest.fixture(params=["script", "module"])
def installed(request: pytest.FixtureRequest) -> list[str]:
    return SCRIPT if request.param == "script" else MODULE


def subcommands() -> list[str]:
    text = answer(SCRIPT, ["--help"]).output.decode()
    lines = text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines if line[:3].strip()]


def test_the_commands_are_found() -> None:
    assert {"ls", "stat", "top", "gc", "dump", "load", "man"} <= set(subcommands())


@pytest.mark.parametrize("command", subcommands())
def test_the_help_of_each_command_is_the_same(native: list[str], command: str) -> None:
    shown = answer(native, [command, "--help"])
    assert shown.status == 0 or command == "help"
    assert answer(SCRIPT, [command, "--help"]) == shown


def test_the_help_of_all_is_the_same(native: list[str], installed: list[str]) -> None:
    for line in HELP_OF_NONE:
        assert answer(installed, line.split()) == answer(native, line.split()), line


def test_a_session_is_the_same(
    native: list[str], installed: list[str], name: str, tmp_path: Path
) -> None:
    def session(command: list[str]) -> list[Answer]:
        lines = [
            [word.replace("T", name, 1) if word[0] == "T" else word for word in line.split()]
            for line in SESSION
        ]
        try:
            return [answer(command, line, cwd=tmp_path) for line in lines]
        finally:
            for table in (name, f"{name}-copy", f"{name}-other"):
                with contextlib.suppress(FileNotFoundError):
                    SharedDict.unlink(table)

    expected = session(native)
    assert {0, 1, 2} == {done.status for done in expected}
    for line, found, right in zip(SESSION, session(installed), expected, strict=True):
        assert found == right, line


def test_bytes_that_are_not_utf_8_reach_it(
    installed: list[str], there: SharedDict[Any, Any], tmp_path: Path
) -> None:
    file = os.fsencode(tmp_path) + b"/dump-\xff"
    for environment in (
        {},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ):
        dumped = answer(installed, ["dump", there.name, "-o", file], env={**os.environ, **environment})
        assert dumped.status == 0, dumped
        assert os.path.exists(file)
        os.unlink(file)
    refused = answer(installed, ["get", there.name, b"\xff"])
    assert (refused.status, b"invalid UTF-8" in refused.errors) == (2, True), refused


def test_a_reader_that_closes_the_pipe_is_no_error(installed: list[str]) -> None:
    with SharedDict({n: "x" * 1000 for n in range(2000)}) as d:
        scan = subprocess.Popen(
            [*installed, "scan", d.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert scan.stdout is not None and scan.stderr is not None
        scan.stdout.readline()
        scan.stdout.close()
        assert scan.stderr.read() == b""
        scan.stderr.close()
        assert scan.wait(workers.GUARD) == 0


def test_a_full_disk_is_an_error(native: list[str], installed: list[str]) -> None:
    def to_full_disk(command: list[str]) -> Answer:
        with open("/dev/full", "wb") as full:
            return answer(
                command, ["ls", "--json"], capture_output=False, stdout=full, stderr=subprocess.PIPE
            )

    found = to_full_disk(installed)
    assert found.status == 2
    assert found == to_full_disk(native)


def test_closed_streams_are_no_place_for_a_table(
    installed: list[str], there: SharedDict[Any, Any]
) -> None:
    # In the shell, since Python would open them again.
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        line = f'"$@" get {there.name} text --json {closed}'
        got = answer(["sh", "-c", line, "sh", *installed], [])
        assert got.status == 0, (closed, got)
        assert there.check() == []
    assert (
        answer(["sh", "-c", f'"$@" put {there.name} new 1 <&- >&- 2>&-', "sh", *installed], []).status
        == 0
    )
    assert there["new"] == 1
    assert there.check() == []


def eventually(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + workers.GUARD
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def started(command: list[str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_the_shell_expects(
    installed: list[str], name: str, sent: signal.Signals
) -> None:
    load = subprocess.Popen(
        [*installed, "load", name, "--create"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert load.stdin is not None
    header = {
        "shmtable": "dump",
        "version": 1,
        "codec_id": "0",
        "capacity": 10,
        "value_space": 10,
        "entries": 4,
    }
    load.stdin.write(str(header).replace("'", '"').encode() + b"\n")
    load.stdin.flush()
    eventually(lambda: name in shmtable.tables())
    load.send_signal(sent)
    # With its input open, at which `communicate` would close it.
    assert load.wait(workers.GUARD) == -sent
    output, errors = load.communicate()
    removed = b"shmtable: interrupted; the table that was created has been removed again\n"
    assert (output, errors) == (b"", removed)
    assert name not in shmtable.tables()


def test_ctrl_c_ends_a_command_that_does_not_catch_it(installed: list[str], name: str) -> None:
    with SharedDict(name=name, capacity=1000) as d, workers.stopped_holder(name):
        participants = d.stats()["participants"]
        put = started(installed, "put", name, "k", "1", "--lock-timeout", "1h")
        eventually(lambda: d.stats()["participants"] > participants)
        put.send_signal(signal.SIGINT)
        assert put.communicate(timeout=workers.GUARD) == (b"", b"")
        assert put.returncode == -signal.SIGINT


@contextlib.contextmanager
def terminal(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def on_terminal(command: list[str], arguments: list[str], columns: int) -> bytes:
    with terminal(500, columns) as (ours, theirs):
        environment = {
            key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")
        }
        environment["TERM"] = "xterm-256color"
        child = subprocess.Popen(
            [*command, *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.set_blocking(ours, False)
        seen = b""
        ended = False
        while not ended:
            ended = child.poll() is not None
            with contextlib.suppress(BlockingIOError):
                while more := os.read(ours, 1 << 16):
                    seen += more
        return seen


@pytest.mark.parametrize("columns", [40, 100])
def test_the_width_and_the_colours_of_a_terminal_are_used(
    native: list[str], installed: list[str], columns: int
) -> None:
    for arguments in (["get", "--help"], ["--josn"]):
        shown = on_terminal(installed, arguments, columns)
        assert b"\x1b[" in shown
        assert shown == on_terminal(native, arguments, columns)


def test_a_program_can_run_several_commands(there: SharedDict[Any, Any]) -> None:
    commands = [["count", there.name], ["get", there.name, "text"], ["create", "x", "--capacity", "00"]]
    done = answer(
        [sys.executable, "-c"],
        [
            f"""
from shmtable._native import run_command
for arguments in {commands}:
    assert run_command(arguments) == (2 if "create" in arguments else 0)
"""
        ],
    )
    assert done.status == 0, done
    assert done.output == b'5\n"text"\n'
    assert b"--capacity is 00;" in done.errors


@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])
def test_it_starts_without_the_rest_of_the_package(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    log = answer(command, ["--version"], env=environment).errors.decode()
    imported = {line.rpartition("|")[2].strip() for line in log.splitlines()}
    of_package = {module for module in imported if module.startswith("shmtable")}
    assert of_package - {"shmtable.__main__"} == {"shmtable", "shmtable._native"}
    assert not {"numpy", "multiprocessing", "typing", "asyncio"} & imported


def test_a_program_of_the_same_name_can_use_the_package(tmp_path: Path) -> None:
    for program in (
        "import shmtable; d = shmtable.SharedDict({1: 2}); print(d[1], shmtable.gc.__module__)",
        "from shmtable import SharedDict; print(SharedDict({1: 2})[1], SharedDict.__module__)",
        "from shmtable import *; print(SharedDict({1: 2})[1], Stats.__module__)",
        "import shmtable.aio; print(2, shmtable.SharedDict.__module__)",
        "import pickle; print(2, pickle.loads(b'cshmtable\\nSharedDict\\n.').__module__)",
    ):
        file = tmp_path / "shmtable"
        file.write_text(program)
        assert workers.output(str(file), cwd=tmp_path) == "2 shmtable\n"


def test_a_name_that_the_package_lacks_is_an_attribute_error(tmp_path: Path) -> None:
    file = tmp_path / "shmtable"
    file.write_text(
        "import shmtable\ntry: shmtable.nobody\nexcept AttributeError as error: print(error)"
    )
    said = workers.output(str(file), cwd=tmp_path)
    assert said == "module 'shmtable' has no attribute 'nobody'\n"
