"""The whole story on a fresh `pinrail up` in a temporary folder: pin, deploy, canary, take back, resume, verify.

Prints every step and what Pinrail said, checks every claim, and exits with 1 at the first that doesn't hold.
story.sh installs what it needs and runs it.
"""

import argparse
import asyncio
import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import httpx2

from agent import Agent
from run import Pinrail, RunTaken
from toolbox import Toolbox

HERE = Path(__file__).parent
TURNS = [
    'Please list_directory ".".',
    'Now read_text_file "welcome.txt", and get-sum 17 25.',
    "Thanks. Who are you?",
]
STREAMED = [*TURNS[:2], 'And echo "good night", please.']
OLD = [f"old-{number:02}" for number in range(50)]
NEW = [f"new-{number:02}" for number in range(50)]
LOG_LINES_SHOWN = 20  # of the server's log, when something went wrong
LEFT_OPEN = 4  # runs that are under way when the rollback comes
PROMPTS = {"You look after": "first", "You are the librarian": "second"}
SECOND_PROMPT = """You are the librarian of a small folder of files. Use the tools to look before you answer.
Answer in one sentence, and never change a file.
"""


class Wrong(Exception):
    """A claim that doesn't hold."""


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
        self.api = httpx2.Client(base_url=f"{self.url}/api/v1", timeout=60)
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

    def run(self, *arguments):
        """Runs a `pinrail` command, shows what it printed, and fails where it fails."""
        print(f"  $ pinrail {' '.join(arguments)}")
        environment = {**os.environ, "PINRAIL_URL": self.url, "NO_COLOR": "1"}
        command = [self.pinrail, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        for line in (done.stdout + done.stderr).splitlines():
            print(f"    {line}")
        check(done.returncode == 0, f"`pinrail {' '.join(arguments)}` exits with {done.returncode}", quiet=True)
        return done.stdout

    def get(self, path):
        return self.api.get(path).raise_for_status().json()


numbers = itertools.count(1)


def step(title):
    print(f"\n{next(numbers)}. {title}", flush=True)


def check(holds, claim, quiet=False):
    if not holds:
        raise Wrong(claim)
    if not quiet:
        print(f"  ok: {claim}", flush=True)


async def converse(pinrail, toolbox, session):
    """One session's run from beginning to end; says which deployment and which prompt answered."""
    run = await pinrail.begin("files", session)
    agent = Agent(run, toolbox)
    answers = [await agent.say(turn) for turn in TURNS]
    await run.finish()
    check("welcome.txt" in answers[0], f"{session}: the directory was listed: {answers[0]}", quiet=True)
    check("Welcome aboard" in answers[1] and "42" in answers[1], f"{session}: {answers[1]}", quiet=True)
    stamped = run.stamp["deployment"]
    check(set(agent.served_by) == {stamped}, f"{session}: all answers came from its stamp", quiet=True)
    prompt = next(name for words, name in PROMPTS.items() if words in answers[2])
    return session, stamped, prompt


async def converse_all(pinrail, toolbox, sessions):
    """All sessions at once: deployment and prompt by session."""
    done = await asyncio.gather(*(converse(pinrail, toolbox, session) for session in sessions))
    found = {session: (deployment, prompt) for session, deployment, prompt in done}
    for (deployment, prompt), count in sorted(Counter(found.values()).items()):
        print(f"  {count:3} sessions: deployment {deployment}, answered by the {prompt} prompt")
    return found


def release_of(server, known=()):
    """The one release that isn't known yet."""
    items = server.get("/releases")["items"]
    (fresh,) = [item["release"] for item in items if item["release"] not in known]
    return fresh, fresh.removeprefix("sha256:")[:12]


def apply_twice(server):
    server.run("apply")
    before = server.get("/status")["seq"]
    server.run("apply")
    check(server.get("/status")["seq"] == before, f"the second apply wrote nothing: the ledger ends at {before}")


async def leave_open(pinrail, toolbox, sessions):
    """Begins a run in each session, and leaves it in the middle of its tool loop."""
    agents = [Agent(await pinrail.begin("files", session), toolbox) for session in sessions]
    for agent in agents:
        check(await agent.say(TURNS[1], pause=True) is None, f"{agent.run.id} is left before its tools", quiet=True)
    return agents


async def take_back(server, pinrail, toolbox, on_candidate):
    step("Leave runs open on the candidate: three paused in the middle of a tool loop, one still running")
    sessions = on_candidate[:LEFT_OPEN]
    left = await leave_open(pinrail, toolbox, sessions[:-1])
    busy = Agent(await pinrail.begin("files", sessions[-1]), toolbox)
    await busy.say(TURNS[0])
    for agent in [*left, busy]:
        status = server.get(f"/runs/{agent.run.id}")["summary"]["status"]
        print(f"  {agent.run.id} of {agent.run.stamp['session']}: deployment {agent.run.stamp['deployment']}, {status}")

    step("Roll the second release back")
    server.run("deployment", "rollback", "2", "--reason", "the librarian is too curt")
    drain = server.get("/deployments/2")["drain"]
    print(f"  still open on it: {drain['open']}")
    check(drain["open"] == {"queued": 0, "running": 1, "paused": 3, "parked": 0}, "the drain status is exact")

    step("The running one finishes on its stamp; a new run of its session is on the incumbent")
    answer = await busy.say(TURNS[2])
    await busy.run.finish()
    print(f"  {busy.run.id}: {answer}")
    check("librarian" in answer and set(busy.served_by) == {2}, "deployment 2 and its prompt answered it to the end")
    after = await converse_all(pinrail, toolbox, on_candidate)
    check(set(after.values()) == {(1, "first")}, f"all {len(after)} sessions of the canary moved to deployment 1")

    step("Resume a run that was left, as another process would: from the journal alone")
    resumed = Agent(await pinrail.resume(left[0].run.id), toolbox)
    check(resumed.run.stamp == left[0].run.stamp, "its stamp is what it always was")
    answer = await resumed.go_on()
    print(f"  {resumed.run.id}: {answer}")
    check("Welcome aboard" in answer and "42" in answer, "its tools were called, and the model read their results")
    answer = await resumed.say(TURNS[2])
    check("librarian" in answer and set(resumed.served_by) == {2}, "the release that was taken back answered it")
    try:
        await left[0].go_on()
        check(False, "the process that left the run must not go on with it")
    except RunTaken:
        check(True, "the process that had left it may not go on: its place in the journal is taken")
    await resumed.run.finish()
    server.run("run", "show", resumed.run.id)
    server.run("deployment", "show", "2")
    check(server.get("/deployments/2")["drain"]["open"]["paused"] == 2, "two runs still hold the deployment")
    for agent in left[1:]:
        other = Agent(await pinrail.resume(agent.run.id), toolbox)
        await other.go_on()
        await other.run.finish()
    check(server.get("/deployments/2")["drain"]["drained"], "after those two, deployment 2 is drained")


async def canary(server, pinrail, toolbox, first):
    step("Change the prompt: another release, for 20 % of the sessions")
    (server.folder / "agents/files/prompts/system.md").write_text(SECOND_PROMPT, encoding="utf-8")
    server.run("apply")
    _, short = release_of(server, known={first})
    server.run("release", "diff", first.removeprefix("sha256:")[:12], short)
    server.run("deploy", f"files={short}", "--weight", "20%", "--reason", "a librarian instead")

    step("The 50 sessions again: they stick to what they began with")
    again = await converse_all(pinrail, toolbox, OLD)
    check(set(again.values()) == {(1, "first")}, "all 50 stayed on deployment 1")

    step("50 new sessions: the split")
    found = await converse_all(pinrail, toolbox, NEW)
    on_candidate = sorted(session for session, (deployment, _) in found.items() if deployment == 2)
    # 20 % of 50 is 10. Outside 1 to 30 by chance: once in 70 000 times.
    check(1 <= len(on_candidate) <= 30, f"{len(on_candidate)} of 50 are on the candidate")
    expected = {(1, "first"), (2, "second")}
    check(set(found.values()) == expected, "each deployment answered with its own prompt, and no other")
    for number in itertools.count(50):
        if len(on_candidate) >= LEFT_OPEN:
            return on_candidate
        session, deployment, _ = await converse(pinrail, toolbox, f"new-{number}")
        on_candidate += [session] if deployment == 2 else []


async def play(server):
    step("Pin the tools of the live MCP servers")
    tools = server.folder / "agents/files/tools.json"
    pinned = tools.read_bytes()
    tools.unlink()
    command = [sys.executable, str(HERE / "pin_tools.py"), "--file", str(tools)]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        print(f"  {line}")
    check(tools.read_bytes() == pinned, "the live servers give the very bytes that are in the repository")

    step("Apply the repository, twice")
    apply_twice(server)
    first, short = release_of(server)

    step("Deploy the release to everybody")
    server.run("deploy", f"files={short}", "--now", "--reason", "the first release")

    files = server.folder / "files"
    files.mkdir()
    (files / "welcome.txt").write_text("Welcome aboard.\n", encoding="utf-8")
    pinrail = Pinrail(server.url)
    async with Toolbox(files) as toolbox:
        step("One run, streaming")
        shown = functools.partial(print, end="", flush=True)
        agent = Agent(await pinrail.begin("files", "streamed"), toolbox, show=shown)
        for turn in STREAMED:
            print(f"  > {turn}\n  ", end="")
            await agent.say(turn, stream=True)
            print()
        done = await agent.run.finish()
        summary = done["summary"]
        print(f"  {agent.run.id}: {summary['calls']} model calls, {summary['input_tokens']} tokens in")
        check(summary["calls"] == 6 and summary["outcome"] == "ok", "three turns, each with a tool: six model calls")

        step("50 sessions at once")
        found = await converse_all(pinrail, toolbox, OLD)
        check(set(found.values()) == {(1, "first")}, "all 50 on deployment 1, all answers from its prompt")

        on_candidate = await canary(server, pinrail, toolbox, first)
        await take_back(server, pinrail, toolbox, on_candidate)

    step("Verify the ledger")
    server.run("ledger", "show")
    server.run("ledger", "verify")
    verified = server.get("/ledger/verify")
    check(verified["whole"], f"all {verified['entries']} entries hang together")
    open_runs = [server.get(f"/deployments/{id}")["drain"]["drained"] for id in (1, 2)]
    check(all(open_runs), "no run was left open")


def main():
    parser = argparse.ArgumentParser(description="Plays the whole story on a fresh server.")
    parser.add_argument("--pinrail", default=shutil.which("pinrail"), help="the binary; else the one on the PATH")
    args = parser.parse_args()
    if not args.pinrail:
        sys.exit("there is no `pinrail` on the PATH; name one with --pinrail")
    with tempfile.TemporaryDirectory(prefix="pinrail-story-") as name:
        folder = Path(name)
        shutil.copytree(HERE / "agents", folder / "agents")
        shutil.copy(HERE / "pinrail.toml", folder)
        step("Start `pinrail up` in an empty folder")
        try:
            with Server(str(Path(args.pinrail).resolve()), folder) as server:
                asyncio.run(play(server))
                step("Stop the server")
        except Exception as failure:
            if not (wrong := first_wrong(failure)):
                raise
            sys.exit(f"\nWRONG: {wrong}")
    print("\nThe story went as told.")


def first_wrong(failure):
    """The claim that failed, out of the groups that the MCP clients' task groups make of it."""
    if isinstance(failure, Wrong):
        return failure
    return next(filter(None, map(first_wrong, getattr(failure, "exceptions", []))), None)


if __name__ == "__main__":
    main()
