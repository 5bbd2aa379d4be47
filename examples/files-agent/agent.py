"""An agent in a hundred lines: a tool-calling loop on the official `openai` package, behind Pinrail.

It asks for the agent `files`, not for a model: which model, prompt and tools answer is the release's business, and so
none of them is named here. What it does it journals in its run as it happens, so another process can go on with it.

    python agent.py --folder DIR 'Please list_directory "."' 'Now read_text_file "welcome.txt".'
    python agent.py --folder DIR --resume RUN
"""

import argparse
import asyncio
import json
import os
import sys
import uuid

from openai import OpenAIError

from run import Pinrail, RunError
from toolbox import Toolbox

ROUNDS_MAX = 8  # a model that calls tools for ever is stopped here


class Agent:
    """The loop: the model says what to do, the tools do it, until there is an answer."""

    def __init__(self, run, toolbox, show=lambda text: None):
        self.run, self.toolbox, self.show = run, toolbox, show
        self.served_by = []  # the deployment that each answer's headers named

    async def say(self, text, **how):
        """The user's turn, and the agent's answer to it."""
        await self.run.append({"type": "note", "name": "user", "data": text})
        return await self.go_on(**how)

    async def go_on(self, stream=False, pause=False):
        """Goes on from wherever the conversation is. With `pause`, leaves the run before the next tool call."""
        for _ in range(ROUNDS_MAX):
            if calls := self.run.open_calls():
                if pause:
                    return await self.run.append({"type": "paused", "why": "left in the middle of a tool loop"})
                await self.run.append(*await asyncio.gather(*(self.call_tool(call) for call in calls)))
            elif self.run.messages[-1]["role"] == "assistant":
                return self.run.messages[-1]["content"]
            else:
                await self.call_model(stream)
        raise RunError(f"no answer after {ROUNDS_MAX} rounds")

    async def call_model(self, stream):
        """Asks the model for the next step. The header puts the call into the run."""
        chat = self.run.pinrail.model.chat.completions
        request = {"model": self.run.stamp["agent"], "messages": self.run.messages}
        request["extra_headers"] = {"x-pinrail-run": self.run.id, "x-pinrail-tenant": self.run.stamp["tenant"]}
        if stream:
            async with chat.stream(**request) as events:
                async for event in events:
                    if event.type == "content.delta":
                        self.show(event.delta)
                message = (await events.get_final_completion()).choices[0].message
        else:
            raw = await chat.with_raw_response.create(**request)
            self.served_by.append(int(raw.headers["x-pinrail-deployment"]))
            message = raw.parse().choices[0].message
        await self.run.append(*said(message))

    async def call_tool(self, call):
        """Calls one tool; what goes wrong is a result too, for the model to read."""
        name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
        text, is_error = await self.toolbox.call(name, arguments)
        return {"type": "tool_result", "id": call["id"], "name": name, "error": is_error, "result": text}


def said(message):
    """A model's message as events."""
    if not message.tool_calls:
        return [{"type": "note", "name": "assistant", "data": message.content or message.refusal or ""}]
    calls = [(call.id, call.function) for call in message.tool_calls]
    return [{"type": "tool_call", "id": id, "name": f.name, "arguments": parsed(f.arguments)} for id, f in calls]


def parsed(arguments):
    try:
        return json.loads(arguments)
    except json.JSONDecodeError:
        return arguments  # the toolbox tells the model that this is no object


async def main():
    parser = argparse.ArgumentParser(description="Looks after a folder of files.")
    parser.add_argument("--folder", required=True, help="the folder that the tools may see")
    parser.add_argument("--session", default=f"files-{uuid.uuid4().hex[:8]}", help="the conversation this belongs to")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run that was left")
    parser.add_argument("--leave", action="store_true", help="leave the run before the first tool call")
    parser.add_argument("turns", nargs="*", help="what the user says, turn by turn")
    args = parser.parse_args()

    pinrail = Pinrail(os.environ.get("PINRAIL_URL", "http://127.0.0.1:7070"), os.environ.get("PINRAIL_KEY"))
    run = None
    async with Toolbox(args.folder) as toolbox:
        try:
            run = await (pinrail.resume(args.resume) if args.resume else pinrail.begin("files", args.session))
            stamp = run.stamp
            print(f"run {run.id}: deployment {stamp['deployment']}, release {stamp['release'][7:19]}")
            agent = Agent(run, toolbox, show=lambda text: print(text, end="", flush=True))
            if args.resume:
                await agent.go_on(stream=True)
                print()
            for turn in args.turns:
                print(f"> {turn}")
                if await agent.say(turn, stream=True, pause=args.leave) is None:
                    return print(f"left; go on with --resume {run.id}")
                print()
            await run.finish()
        except (OpenAIError, RunError) as failure:
            return f"{failure}\nthe run is still open; go on with --resume {run.id}" if run else str(failure)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
