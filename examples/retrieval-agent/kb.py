"""Pinrail's API as far as a retrieval agent needs it: runs, vectors, memory and shared context."""

import base64

import httpx2
import numpy as np

SPACE = "kb"
DESK = "desk"  # the shared context that all runs of the agent read
BATCH = 250  # vectors of one request


class Refused(Exception):
    """Pinrail said no: the problem document says why, and what to do."""

    def __init__(self, problem):
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.code = problem["code"]


class Pinrail:
    """One connection to a server."""

    def __init__(self, url, key=None):
        self.url, self.key = url, key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.api = httpx2.Client(base_url=f"{url}/api/v1", headers=headers, timeout=120)

    def ask(self, method, path, body=None, **query):
        return self.raw(method, path, body, **query).json()

    def raw(self, method, path, body=None, **query):
        """The answer as it came, byte for byte."""
        reply = self.api.request(method, path, json=body, params=query)
        if reply.is_error:
            raise Refused(reply.json())
        return reply

    def begin(self, session, agent="docs"):
        """A run: from now on all it reads and writes is of the deployment that it is stamped with."""
        return self.ask("POST", "/runs", {"agent": agent, "session": session})["stamp"]

    def finish(self, run):
        self.ask("POST", f"/runs/{run}/finish", {"outcome": "ok"})

    def contract(self, release):
        """The embedder that a release pins."""
        return self.ask("GET", f"/releases/{release}")["manifest"]["state"]["vectors"][SPACE]

    def search(self, vector, top=5, **by):
        return self.raw("POST", f"/vectors/{SPACE}/search", {"vector": packed(vector), "top": top, **by})

    def upsert(self, records, **by):
        return self.ask("POST", f"/vectors/{SPACE}/upsert", {"records": records, **by})

    def coverage(self, **by):
        """How far each embedder is: name -> (keys embedded, share of the space's keys)."""
        shown = self.ask("GET", f"/vectors/{SPACE}", **by)["embedders"]
        return {one["contract"]["embedder"]: (one["keys"], one["coverage"]) for one in shown}

    def remember(self, session, turns, **by):
        return self.ask("POST", f"/memory/docs/{session}", {"turns": turns, **by})["turns"]

    def memory(self, session, **by):
        return self.raw("GET", f"/memory/docs/{session}", **{"limit": 1000, **by})

    def tell(self, key, value, **by):
        return self.ask("PUT", f"/context/{DESK}/{key}", {"value": value, **by})

    def told(self, key, **by):
        return self.raw("GET", f"/context/{DESK}/{key}", **by)


def record(passage, vector):
    """A passage as Pinrail keeps it."""
    return {"key": passage.key, "vector": packed(vector), "payload": {"section": passage.section, "text": passage.text}}


def batches(items):
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def packed(vector):
    """Base64 of little-endian 32-bit floats: exact, and shorter than digits."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
