"""Four replicas over one PostgreSQL, and two hundred sessions that don't stop: a canary, a replica killed, a rollback, PostgreSQL
crashed and started again, another rollback.

Prints every step and what Pinrail said, checks every claim, and exits with 1 at the first that doesn't hold.
story.sh installs what it needs and runs it.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2

from fleet import Balancer, Replica
from postgres import Postgres
from sessions import FILES_AGENT, OWN, Session
from run import Pinrail
from toolbox import Toolbox

REPLICAS, SESSIONS = 4, 200
PROMPTS = {1: "You look after", 2: "You are the librarian", 3: "You keep the files"}
ON_CANDIDATE = 10  # runs that have ended on a candidate before it is taken back
PATIENCE = 300  # seconds that a claim may take to become true
LOOK = 0.2  # seconds between two looks
LINES_SHOWN = 40  # of a command's output

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


class Story:
    """Who takes part."""

    def __init__(self, pinrail, folder, postgres):
        self.pinrail, self.folder, self.postgres = pinrail, folder, postgres
        self.replicas = [Replica(pinrail, folder / f"r{n}", f"r{n}", postgres.url) for n in range(1, REPLICAS + 1)]
        for replica in self.replicas:
            shutil.copy(FILES_AGENT / "pinrail.toml", replica.folder)
        self.sessions, self.taken_back = [], {}

    def alive(self):
        return [replica for replica in self.replicas if replica.process]

    async def command(self, *arguments, replica=None, shown=True):
        """Runs a `pinrail` command against a replica, shows what it printed, and fails where it fails."""
        code, said = await asyncio.to_thread((replica or self.alive()[0]).run, *arguments)
        if shown or code:
            print(f"  $ pinrail {' '.join(arguments)}")
            for line in said.rstrip().splitlines()[:LINES_SHOWN]:
                print(f"    {line}".rstrip(), flush=True)
        check(code == 0, f"`pinrail {' '.join(arguments)}` exits with {code}", quiet=True)

    async def get(self, path, replica=None):
        return await asyncio.to_thread((replica or self.alive()[0]).get, path)

    async def until(self, claim, holds):
        """Waits for a claim, asking again where nobody answers."""
        start = time.monotonic()
        while True:
            try:
                if await holds():
                    return check(True, f"{claim} (after {time.monotonic() - start:.1f} s)")
            except httpx2.HTTPError:
                pass
            check(time.monotonic() < start + PATIENCE, f"{claim}, within {PATIENCE} s", quiet=True)
            await asyncio.sleep(LOOK)

    def begun(self, deployment, since=0.0):
        """The deployment's runs that a session asked for after a moment. An answer may come later than the stamp that it brings."""
        return [run for run in self.runs() if run["stamp"]["deployment"] == deployment and run["asked"] > since]

    def runs(self):
        return [run for session in self.sessions for run in session.runs]

    async def release(self, beginning):
        """Another release: its prompt begins otherwise."""
        prompt = self.folder / "agents/files/prompts/system.md"
        known = {item["release"] for item in (await self.get("/releases"))["items"]}
        if known:
            prompt.write_text(f"{beginning} of a small folder.\nAnswer in one sentence, and never change a file.\n")
        await self.command("apply", shown=False)
        (fresh,) = {item["release"] for item in (await self.get("/releases"))["items"]} - known
        return fresh.removeprefix("sha256:")[:12]


async def begin(story, pinrail, toolbox):
    step(f"{SESSIONS} sessions of the files agent begin, and none of them stops before the end")
    short = await story.release(PROMPTS[1])
    await story.command("deploy", f"files={short}", "--now", "--reason", "the first release")
    story.sessions = [Session(pinrail, toolbox, f"session-{number:03}") for number in range(SESSIONS)]
    living = [asyncio.create_task(session.live()) for session in story.sessions]

    async def all_in_flight():
        drain = (await story.get("/deployments/1"))["drain"]
        return drain["open"]["running"] >= SESSIONS * 0.9

    await story.until("at least nine in ten have a run open at this moment, as every replica's drain count says", all_in_flight)
    return living


async def canary(story, number):
    short = await story.release(PROMPTS[number])
    await story.command("deploy", f"files={short}", "--weight", "20%", "--reason", f"candidate {number}")
    # Sessions that were there stay where they are; new ones are drawn.
    return [Session(story.sessions[0].pinrail, story.sessions[0].toolbox, f"guest-{number}-{n:03}") for n in range(SESSIONS // 2)]


async def grow(story, living, number, why):
    """Half of the sessions make room for as many new ones, of which some are on the candidate."""
    step(why)
    fresh = await canary(story, number)
    leaving = [session for session in story.sessions if not session.is_over][: len(fresh)]
    for session in leaving:
        session.is_over = True
    story.sessions += fresh
    living += [asyncio.create_task(session.live()) for session in fresh]

    async def proven():
        done = [run for run in story.begun(number) if "finished" in run]
        return len(done) >= ON_CANDIDATE

    await story.until(f"{ON_CANDIDATE} runs were answered by the candidate to their end", proven)
    split = Counter(run["stamp"]["deployment"] for session in fresh for run in session.runs)
    print(f"  runs of the new sessions by deployment: {dict(sorted(split.items()))}")


async def roll_back(story, number, replica, reason):
    """One command at one replica; then every living one acts on it."""
    before = time.time()
    await story.command("deployment", "rollback", str(number), "--reason", reason, replica=replica)
    story.taken_back[number] = (before, time.time())
    names = {one.name for one in story.alive()}
    report = await story.get(f"/deployments/{number}/report", replica)
    epoch = report["acknowledged"]["epoch"]

    async def settled():
        return (await story.get(f"/epochs/{epoch}", replica))["settled"]

    await story.until(f"nothing is awaited any more of epoch {epoch}", settled)
    acks = await story.get(f"/epochs/{epoch}", replica)
    for member in acks["members"]:
        took = f" after {member['took_us']} µs" if "took_us" in member else ""
        print(f"    {member['name']}: {member['answer']}{took}")
    by = {member["name"] for member in acks["members"] if member["answer"] == "acknowledged"}
    check(len(by) >= len(names), f"all {len(names)} living replicas acknowledged it: {', '.join(sorted(by))}")
    await story.command("deployment", "report", str(number), replica=replica)


async def go_on(story, number):
    """After a rollback: everybody is on the incumbent, and the sessions live."""
    since = story.taken_back[number][1]

    async def lively():
        return len([run for run in story.begun(1, since) if "finished" in run]) >= SESSIONS // 4

    await story.until(f"{SESSIONS // 4} runs began after it and ended well on deployment 1", lively)
    check(not story.begun(number, since), f"none that began after it is on deployment {number}")
    wrote = {session.name for session in story.sessions if any(run in session.runs for run in story.begun(number))}
    seen = [await story.get(f"/memory/files/{name}") for name in sorted(wrote)]
    spoiled = [turn for memory in seen for turn in memory["turns"] if PROMPTS[number] in turn["content"]]
    check(not spoiled, f"of what deployment {number} told {len(wrote)} sessions, their memory shows nothing")


async def play(story):
    step(f"{REPLICAS} replicas over one PostgreSQL")
    for replica in story.replicas:
        await asyncio.to_thread(replica.start)
        print(f"  {replica.name} listens on {replica.url}")

    async def known():
        return len((await story.get("/replicas"))["items"]) == REPLICAS

    await story.until("they know of each other", known)
    await story.command("replica", "list")
    files = story.folder / "files"
    files.mkdir()
    (files / "welcome.txt").write_text("Welcome aboard.\n", encoding="utf-8")
    async with Balancer(story.replicas) as balancer, Toolbox(files) as toolbox:
        living = await begin(story, Pinrail(balancer.url), toolbox)
        try:
            await act(story, living)
        finally:
            for session in story.sessions:
                session.is_over = True
            if sys.exc_info()[0]:
                for task in living:
                    task.cancel()
        step("The sessions end what they are at")
        await asyncio.gather(*living)
    await verify(story)


async def act(story, living):
    await grow(story, living, 2, "A canary: another prompt, for 20 % of the new sessions")

    step("The replica that leads is killed")
    leads = next(item["name"] for item in (await story.get("/replicas"))["items"] if item.get("leads_since"))
    victim = next(replica for replica in story.replicas if replica.name == leads)
    victim.kill()
    print(f"  killed {victim.name}")

    step("The canary is taken back at another one")
    await roll_back(story, 2, story.alive()[-1], "a replica died, and nobody likes the librarian")
    await go_on(story, 2)

    step("The dead one comes back")
    await asyncio.to_thread(victim.start)

    async def back():
        items = (await story.get("/replicas"))["items"]
        return len(items) >= REPLICAS and (await story.get("/status", victim))["epoch"] > 0

    await story.until("it serves what the others serve", back)
    await story.command("hold", "lift", "files", "--reason", "another try")

    await grow(story, living, 3, "Another canary")
    step("PostgreSQL crashes and starts again, under all of it")
    since = time.time()
    await asyncio.to_thread(story.postgres.crash)
    answered = sum(run.get("finished", 0) > since for run in story.runs())
    await asyncio.to_thread(story.postgres.start)
    print(f"  it was away for {time.time() - since:.1f} s; runs that ended meanwhile: {answered}")

    async def ready():
        return all([(await story.get("/status", replica))["epoch"] for replica in story.alive()])

    await story.until("every replica answers again", ready)
    step("The second canary is taken back")
    await roll_back(story, 3, story.alive()[0], "PostgreSQL crashed, and we are careful")
    await go_on(story, 3)


async def verify(story):
    step("The journal is complete")
    runs = story.runs()
    taken_up = sum(session.taken_up for session in story.sessions)
    print(f"  {len(runs)} runs of {len(story.sessions)} sessions; {taken_up} times an agent lost its server and took its run up again")
    calls = Counter()
    for place, run in enumerate(runs):
        await compare(story, run, story.replicas[place % REPLICAS], calls)
    check(True, f"all {len(runs)} runs ended, and hold all {calls['events']} events that were acknowledged, in their order")
    check(True, f"each of the {calls['answers']} answers came from the deployment in the run's stamp, and from its prompt")
    for number in (1, 2, 3):
        drain = (await story.get(f"/deployments/{number}"))["drain"]
        check(drain["drained"], f"no run is left open on deployment {number}")

    step("The ledger and the data")
    for replica in story.replicas:
        verified = await story.get("/ledger/verify", replica)
        check(verified["whole"], f"{replica.name}: all {verified['entries']} entries hang together")
    for number in (2, 3):
        await story.command("deployment", "verify", str(number))
    await story.command("ledger", "show")

    step("The replicas stop")
    codes = [await asyncio.to_thread(replica.stop) for replica in story.alive()]
    check(codes == [0] * REPLICAS, f"all with exit code 0: {codes}")


async def compare(story, run, replica, calls):
    """What the agent was told is kept, against what is kept."""
    id, deployment = run["stamp"]["run"], run["stamp"]["deployment"]
    summary = (await story.get(f"/runs/{id}", replica))["summary"]
    events, place = [], 0
    while place < summary["next"]:
        page = await story.get(f"/runs/{id}/events?from={place}", replica)
        events, place = events + page["events"], page["next"]
    kept = iter([event for event in events if event["type"] in OWN])
    for said in run["acknowledged"]:
        same = any(all(event.get(name) == value for name, value in said.items() if value) for event in kept)
        check(same, f"{id} holds {said}", quiet=True)
    check((summary["status"], summary.get("outcome")) == ("finished", "ok"), f"{id} is finished: {summary}", quiet=True)
    check(run["served_by"] == {deployment}, f"{id}: answered by {run['served_by']}", quiet=True)
    check(PROMPTS[deployment] in run["answer"], f"{id} of deployment {deployment}: {run['answer']}", quiet=True)
    calls["events"] += len(run["acknowledged"])
    calls["answers"] += summary["calls"]


def main():
    parser = argparse.ArgumentParser(description="Plays the whole story on replicas and a PostgreSQL of its own.")
    parser.add_argument("--pinrail", default=shutil.which("pinrail"), help="the binary; else the one on the PATH")
    args = parser.parse_args()
    if not args.pinrail:
        sys.exit("there is no `pinrail` on the PATH; name one with --pinrail")
    with tempfile.TemporaryDirectory(prefix="pinrail-replicas-") as name:
        folder = Path(name)
        os.chmod(folder, 0o755)  # PostgreSQL's user must get through
        shutil.copytree(FILES_AGENT / "agents", folder / "agents")
        shutil.copy(FILES_AGENT / "pinrail.toml", folder)
        try:
            with Postgres(folder / "postgres") as postgres:
                story = Story(str(Path(args.pinrail).resolve()), folder, postgres)
                try:
                    asyncio.run(play(story))
                finally:
                    for replica in story.alive():
                        replica.kill()
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
