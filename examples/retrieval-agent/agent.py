"""A retrieval agent in a hundred lines: it looks passages up, asks the model, and remembers what was said.

It names no model, no prompt and no embedder: those are the release's business. Which release that is, its run knows; all that
it reads and writes goes through the run, so a canary's agent lives in a world of its own until it is promoted.

    python agent.py --session anna 'How do I write my own 404 page?' 'And for errors of the server?'
"""

import argparse
import os
import sys
from functools import cache

import httpx2
from openai import OpenAI, OpenAIError

from corpus import passages
from embedders import Lsa, MiniLm
from kb import Pinrail, Refused

TURNS_MAX = 20  # of the conversation so far that the model is shown


class WrongEmbedder(Exception):
    """The release pins an embedder that isn't installed here: its vectors would be compared with strangers."""


class Agent:
    """One run of the agent in a session."""

    def __init__(self, pinrail, session):
        self.pinrail, self.session = pinrail, session
        self.stamp = pinrail.begin(session)
        self.run = self.stamp["run"]
        self.embedder = pinned(pinrail.contract(self.stamp["release"]))

    def ask(self, question):
        """The answer to a question, with the passages that it stands on."""
        found = self.look_up(question)
        rules = self.pinrail.told("house-rules", run=self.run).json()
        before = self.pinrail.memory(self.session, run=self.run, limit=TURNS_MAX).json()["turns"]
        told = self.pinrail.remember(self.session, [{"role": "user", "content": question}], run=self.run)
        text = self.model(question, found, rules, before)
        answer = {"role": "assistant", "content": text, "sources": [one["key"] for one in found]}
        # What the answer was made of: if one of these is taken back, `--cascade` takes the answer along.
        made_of = [told[0]["seq"], rules["version"], *(one["seq"] for one in [*found, *before])]
        self.pinrail.remember(self.session, [{**answer, "parents": made_of}], run=self.run)
        return answer

    def look_up(self, question):
        (vector,) = self.embedder.embed([question])
        return self.pinrail.search(vector, run=self.run).json()["results"]

    def model(self, question, found, rules, before):
        """What the model says; the header puts the call into the run."""
        texts = "\n\n".join(f"[{one['key']}]\n{one['payload']['text']}" for one in found)
        messages = [{"role": turn["role"], "content": turn["content"]} for turn in before]
        messages.append({"role": "user", "content": f"{rules['value']}\n\n{texts}\n\nQuestion: {question}"})
        client = model_client(self.pinrail.url, self.pinrail.key)
        made = client.chat.completions.create(
            model=self.stamp["agent"], messages=messages, extra_headers={"x-pinrail-run": self.run}
        )
        return made.choices[0].message.content

    def finish(self):
        self.pinrail.finish(self.run)


@cache
def model_client(url, key):
    return OpenAI(base_url=f"{url}/v1", api_key=key or "no-key-needed", timeout=60)


@cache
def installed():
    """The embedders that this process has, by name."""
    found = [MiniLm(), Lsa(tuple(passage.whole() for passage in passages()))]
    return {embedder.name: embedder for embedder in found}


def pinned(contract):
    """The embedder that a release's contract names, and no other: the revision is a part of it."""
    embedder = installed().get(contract["embedder"])
    if embedder is None or embedder.revision != contract["revision"]:
        raise WrongEmbedder(f"the release pins {contract['embedder']} {contract['revision']}, which isn't installed")
    return embedder


def main():
    parser = argparse.ArgumentParser(description="Answers questions about Django from its documentation.")
    parser.add_argument("--session", default="terminal", help="the conversation that this belongs to")
    parser.add_argument("questions", nargs="+", metavar="QUESTION")
    args = parser.parse_args()
    url = os.environ.get("PINRAIL_URL", "http://127.0.0.1:7070")
    try:
        agent = Agent(Pinrail(url, os.environ.get("PINRAIL_KEY")), args.session)
        print(f"run {agent.run}: deployment {agent.stamp['deployment']}, embedder {agent.embedder.name}")
        for question in args.questions:
            answer = agent.ask(question)
            print(f"> {question}\n{answer['content']}\n  from {', '.join(answer['sources'])}")
        agent.finish()
    except (Refused, OpenAIError, WrongEmbedder) as failure:
        return str(failure)
    except httpx2.TransportError as failure:
        return f"no answer from {url}: {failure}"


if __name__ == "__main__":
    sys.exit(main())
