"""Two hundred sessions of the files agent, each with a run in flight all the time, that live through whatever happens.

An agent whose server goes away does what examples/files-agent is made for: it takes its run up again from the journal, at
whichever replica answers, and goes on.
"""

import asyncio
import itertools
import sys
import time
from pathlib import Path

import httpx2
from openai import OpenAIError

FILES_AGENT = Path(__file__).parent.parent / "files-agent"
sys.path.insert(0, str(FILES_AGENT))

from agent import Agent  # noqa: E402
from run import Run, RunError, RunTaken  # noqa: E402

TURNS = ['Please list_directory ".".', 'Now read_text_file "welcome.txt", and get-sum 17 25.', "Thanks. Who are you?"]
TROUBLE = (OpenAIError, RunError, httpx2.HTTPError)
PATIENCE = 90  # seconds that a client tries for
PAUSE = 0.2  # seconds between two tries
OWN = ("note", "tool_call", "tool_result")  # the events that the agent writes


class Kept(Run):
    """A run that remembers what the server said it has."""

    acknowledged = None

    async def append(self, *events):
        await super().append(*events)
        self.acknowledged += [event for event in events if event["type"] in OWN]


class Session:
    """One run after the other, and what became of each."""

    def __init__(self, pinrail, toolbox, name):
        self.pinrail, self.toolbox, self.name = pinrail, toolbox, name
        self.runs, self.taken_up, self.is_over = [], 0, False

    async def live(self):
        for number in itertools.count():
            if self.is_over:
                return
            await self.one_run(number)

    async def one_run(self, number):
        asked = time.time()
        run = await self.insist(self.pinrail.begin, "files", self.name, key=f"begin-{self.name}-{number}")
        self.runs.append(one := {"stamp": run.stamp, "acknowledged": [], "served_by": set(), "asked": asked, "answered": time.time()})
        agent = self.agent(run, one)
        while (turn := told(agent)) < len(TURNS) or agent.run.messages[-1]["role"] != "assistant":
            try:
                await (agent.go_on() if waits(agent) else agent.say(TURNS[turn]))
            except TROUBLE as trouble:
                agent = await self.take_up(one, trouble)
            one["served_by"] |= set(agent.served_by)
        one["answer"] = agent.run.messages[-1]["content"]
        # What it concluded belongs to its deployment.
        turns = {"run": run.id, "turns": [{"role": "assistant", "content": one["answer"]}]}
        await self.insist(self.pinrail.ask, "POST", f"/memory/files/{self.name}", turns, key=f"remember-{run.id}")
        await self.insist(agent.run.finish, key=f"finish-{run.id}")
        one["finished"] = time.time()

    def agent(self, run, one):
        run.__class__ = Kept
        run.acknowledged = one["acknowledged"]
        return Agent(run, self.toolbox)

    async def take_up(self, one, trouble):
        """The run as the journal has it: what was written without an answer is in it, too."""
        if isinstance(trouble, RunTaken):
            raise trouble
        self.taken_up += 1
        return self.agent(await self.insist(self.pinrail.resume, one["stamp"]["run"]), one)

    async def insist(self, ask, *arguments, **how):
        """Asks until there is an answer. The key makes a repetition the same question."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await ask(*arguments, **how)
            except TROUBLE:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(PAUSE)


def told(agent):
    """How many turns the user has had."""
    return sum(message["role"] == "user" for message in agent.run.messages)


def waits(agent):
    """Whether the agent owes something: an answer, or what its tools say."""
    return bool(agent.run.messages) and agent.run.messages[-1]["role"] != "assistant" or bool(agent.run.open_calls())
