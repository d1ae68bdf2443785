"""The pages of docs/python/programs/: their files, and the commands that they show.

A block with a file name as its title is a file. A block of the language `console` shows
commands, each behind a `$`, and what they print.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
import servers
import workers

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "python" / "programs"
FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Where the servers of the pages listen.
PORT = "8000"


class Page:
    """A page whose files are in a folder, and whose commands can be tried.

    The port and the table's name are the test's own in both.
    """

    def __init__(self, page: str, folder: Path, name: str = "", port: int = 0) -> None:
        self.folder, self.port = folder, port
        text = (FOLDER / page).read_text()
        assert text.count("```") == 2 * len(FENCE.findall(text)), f"{page} has an odd block"
        if port:
            assert PORT in text, f"{page} names no port {PORT}"
            text = text.replace(PORT, str(port))
        if name:
            of_page = re.search(r"SharedDict\(name='([^']+)'", text)
            assert of_page, f"{page} opens no table by its name"
            text = text.replace(of_page[1], name)
        self.files: dict[str, str] = {}
        self.shown: list[tuple[str, str]] = []
        for language, title, block in FENCE.findall(text):
            if title:
                self.files[title] = block
                (folder / title).write_text(block)
            elif language == "console":
                self.shown += re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)

    def prints(self, command: str) -> str:
        """What a command prints, as the page shows it."""
        outputs = dict(self.shown)
        assert command in outputs, f"the page shows {list(outputs)}, not {command}"
        return outputs[command]

    def try_requests(self, client: str = "") -> None:
        """Sends the requests of all `curl` commands, whose answers must be those shown."""
        for command, output in self.shown:
            if command.startswith("curl "):
                path = command.partition(f":{self.port}")[2]
                answer = servers.ask(self.port, path, client)
                assert answer.rstrip() == output.rstrip(), f"{command}: {answer}"

    def try_program(self, file: str) -> None:
        """Runs `python FILE`, which must print what the page shows."""
        printed = workers.output(str(self.folder / file), cwd=self.folder)
        shown = self.prints(f"python {file}")
        assert printed == shown, f"{file} prints\n{printed}\nand not\n{shown}"
