"""What the story is played on: a server of its own, numbered steps, and claims that are checked."""

import itertools
import os
import shlex
import subprocess
import sys

from kb import Pinrail

LOG_LINES_SHOWN = 20  # of the server's log, when something went wrong
OUTPUT_LINES_SHOWN = 40  # of a command's output

numbers = itertools.count(1)


class Wrong(Exception):
    """A claim that doesn't hold."""


def step(title):
    print(f"\n{next(numbers)}. {title}", flush=True)


def check(holds, claim, quiet=False):
    if not holds:
        raise Wrong(claim)
    if not quiet:
        print(f"  ok: {claim}", flush=True)


class Server:
    """`pinrail up` on a free port, in a folder of its own."""

    def __init__(self, pinrail, folder):
        self.pinrail, self.folder = pinrail, folder

    def __enter__(self):
        command = [self.pinrail, "up", "--dir", str(self.folder), "--listen", "127.0.0.1:0"]
        self.log = open(self.folder / "up.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = next((line for line in self.process.stdout if "listens on" in line), "")
        if not line:
            sys.exit(f"pinrail up didn't start:\n{(self.folder / 'up.log').read_text()}")
        print(f"  {line.strip()}")
        self.url = line.split("listens on ")[1].split()[0]
        self.api = Pinrail(self.url)
        return self

    def __exit__(self, kind, failure, trace):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        if kind is None:
            check(code == 0, f"the server stopped with exit code {code}")
        else:
            said = (self.folder / "up.log").read_text().splitlines()
            print("\nThe server's last words:", *said[-LOG_LINES_SHOWN:], sep="\n  ", file=sys.stderr)

    def run(self, *arguments, code=0):
        """Runs a `pinrail` command, shows what it printed, and wants its exit code."""
        print(f"  $ pinrail {shlex.join(arguments)}", flush=True)
        environment = {**os.environ, "PINRAIL_URL": self.url, "NO_COLOR": "1"}
        command = [self.pinrail, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        lines = (done.stdout + done.stderr).rstrip().splitlines()
        for line in lines[:OUTPUT_LINES_SHOWN]:
            print(f"    {line}".rstrip())
        if len(lines) > OUTPUT_LINES_SHOWN:
            print(f"    … and {len(lines) - OUTPUT_LINES_SHOWN} lines more")
        check(done.returncode == code, f"`pinrail {arguments[0]} …` exits with {code}, not {done.returncode}", quiet=True)
        return done.stdout
