"""A run in Pinrail's journal: begun, appended to, left, resumed, finished. What the agent in agent.py stands on."""

import json

import httpx2
from openai import AsyncOpenAI


class RunError(Exception):
    """The run can't go on, or not here."""


class RunTaken(RunError):
    """Another process went on with this run: this one must stop."""


class Pinrail:
    """The two clients that an agent needs: one for the model, one for its run."""

    def __init__(self, url, key=None):
        self.model = AsyncOpenAI(base_url=f"{url}/v1", api_key=key or "no-key-needed", timeout=60)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.api = httpx2.AsyncClient(base_url=f"{url}/api/v1", headers=headers, timeout=60)

    async def begin(self, agent, session, key=None):
        """A run of its own: all its calls share one stamp, whatever is deployed or taken back meanwhile.

        Begun again with the same key, after an answer that was lost, it is the same run.
        """
        made = await self.ask("POST", "/runs", {"agent": agent, "session": session}, key)
        return Run(self, made["stamp"], next_seq=1, messages=[])

    async def resume(self, run):
        """A run that another process left: the conversation is rebuilt from the journal."""
        left = await self.ask("POST", f"/runs/{run}/resume")
        events, more = left["events"], left.get("more_from")
        while more is not None:
            page = await self.ask("GET", f"/runs/{run}/events?from={more}")
            events += page["events"]
            more = page["next"] if page["events"] else None
        return Run(self, left["stamp"], left["summary"]["next"], remembered(events))

    async def ask(self, method, path, body=None, key=None):
        """Pinrail's answer; the refusal of a compare-and-set is one too."""
        try:
            headers = {"idempotency-key": key} if key else {}
            reply = await self.api.request(method, path, json=body, headers=headers)
        except httpx2.TransportError as error:
            raise RunError(f"no answer from {self.api.base_url}: {error}") from error
        answer = reply.json()
        if reply.is_error and answer.get("code") != "sequence_moved":
            raise RunError(f"{answer['detail']}; {answer.get('next_step', '')}")
        return answer


class Run:
    """One execution of the agent: its stamp, and the conversation so far."""

    def __init__(self, pinrail, stamp, next_seq, messages):
        self.pinrail, self.stamp, self.next, self.messages = pinrail, stamp, next_seq, messages
        self.id = stamp["run"]

    async def append(self, *events):
        """Appends at the place that this process knows of, so that two workers can't both go on with one run."""
        while True:
            body = {"expected_seq": self.next, "events": list(events)}
            changed = await self.pinrail.ask("POST", f"/runs/{self.id}/events", body)
            if "summary" in changed:
                self.next = changed["summary"]["next"]
                self.messages += remembered(events)
                return
            since = await self.pinrail.ask("GET", f"/runs/{self.id}/events?from={self.next}")
            # What the model was asked and said, the gateway writes; anything else is another worker's.
            if not all(event["type"].startswith(("model_", "drift")) for event in since["events"]):
                raise RunTaken(f"another process went on with {self.id}")
            self.next = since["next"]

    def open_calls(self):
        """The tool calls that have no result yet."""
        answered = {message.get("tool_call_id") for message in self.messages}
        calls = [call for message in self.messages for call in message.get("tool_calls", [])]
        return [call for call in calls if call["id"] not in answered]

    async def finish(self, outcome="ok", key=None):
        return await self.pinrail.ask("POST", f"/runs/{self.id}/finish", {"outcome": outcome}, key)


def remembered(events):
    """The conversation that events tell of."""
    messages = []
    for event in events:
        if event["type"] == "note":
            messages.append({"role": event["name"], "content": event.get("data", "")})
        elif event["type"] == "tool_call":
            function = {"name": event["name"], "arguments": json.dumps(event.get("arguments"))}
            if not (messages and messages[-1].get("tool_calls")):
                messages.append({"role": "assistant", "tool_calls": []})
            messages[-1]["tool_calls"].append({"id": event["id"], "type": "function", "function": function})
        elif event["type"] == "tool_result":
            messages.append({"role": "tool", "tool_call_id": event["id"], "content": event.get("result", "")})
    return messages
