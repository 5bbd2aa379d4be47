"""Pins live MCP servers, changes one behind its pin, and shows what an official client sees at each step.

Prints every step and what was said, checks every claim, and exits with 1 at the first that doesn't hold.
story.sh installs what it needs and runs it.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
from mcp import Client, MCPError

HERE = Path(__file__).parent
PINRAIL_TOML = """
[providers.sim]
base_url = "sim:"

[mcp.everything]
command = ["{node}", "{modules}/server-everything/dist/index.js"]

[mcp.filesystem]
command = ["{node}", "{modules}/server-filesystem/dist/index.js", "{folder}"]

[mcp.memory]
command = ["{node}", "{modules}/server-memory/dist/index.js"]

[mcp.orders]
url = "http://127.0.0.1:{port}/mcp"
poll = "1s"

[mcp_commands]
allow = ["{node}"]
"""
RELEASE_TOML = """
[model]
provider = "sim"
snapshot = "sim-1-2026-01-15"

[prompt]
system = "system.md"

[tools]
mcp = ["everything", "filesystem", "memory", "orders"]
"""
SERVERS = ["everything", "filesystem", "memory", "orders"]


class Wrong(Exception):
    """A claim that doesn't hold."""


def check(holds, what):
    if not holds:
        raise Wrong(what)
    print(f"  ✓ {what}")


def step(text):
    print(f"\n── {text}")


class Story:
    def __init__(self, pinrail, folder):
        self.pinrail, self.folder, self.url = pinrail, folder, None

    def run(self, *arguments, code=0):
        """A `pinrail` command, shown with what it prints."""
        print(f"$ pinrail {' '.join(arguments)}")
        environment = dict(os.environ, PINRAIL_URL=self.url or "http://127.0.0.1:1", NO_COLOR="1")
        done = subprocess.run(
            [self.pinrail, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        for line in (done.stdout + done.stderr).rstrip().splitlines():
            print(f"  {line}")
        if done.returncode != code:
            raise Wrong(f"pinrail {arguments[0]} ended with {done.returncode}, not {code}")
        return done.stdout

    def get(self, path):
        return httpx2.get(self.url + path).json()


async def see(client, what):
    """What the official client is served of the order desk."""
    listed = await client.list_tools(cache_mode="bypass")
    tools = {tool.name: tool.description for tool in listed.tools}
    mine = {name: tools[name] for name in ("look_up", "refund", "forward") if name in tools}
    print(f"  the client sees {len(tools)} tools; of orders: {json.dumps(mine)}   ({what})")
    return tools


async def call(client, name, **arguments):
    try:
        result = await client.call_tool(name, arguments)
        text = result.content[0].text
        print(f"  call {name} → {text}")
        return text
    except MCPError as error:
        print(f"  call {name} → error {error.error.code}: {error.error.message}")
        return (error.error.data or {}).get("code")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, ready):
    for _ in range(150):
        if ready():
            return
        time.sleep(0.1)
    raise Wrong(f"{what} didn't come")


def is_up(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def prepare(folder, port):
    values = dict(
        node=shutil.which("node"), modules=HERE / "node_modules/@modelcontextprotocol", port=port, folder=folder / "docs"
    )
    (folder / "docs").mkdir()
    (folder / "docs/note.txt").write_text("a note\n")
    (folder / "pinrail.toml").write_text(PINRAIL_TOML.format(**values))
    agent = folder / "agents/desk"
    agent.mkdir(parents=True)
    (agent / "agent.toml").write_text('tier = "standard"\n[journal]\nbodies = "full"\n')
    (agent / "release.toml").write_text(RELEASE_TOML)
    (agent / "system.md").write_text("You look after orders.\n")


async def play(story, port):
    step("pin what four live servers list: three reference servers from npm, and a desk of our own")
    for server in SERVERS:
        story.run("tools", "pin", "desk", "--mcp", server)
    story.run("tools", "check")

    step("a release of these pins takes all traffic")
    story.run("apply")
    release = story.get("/api/v1/releases?agent=desk")["items"][0]
    story.run("deploy", f"desk={release['short']}", "--now")

    http = httpx2.AsyncClient(timeout=60)
    async with Client(f"{story.url}/mcp/desk", mode="auto") as client:
        step("before: an official client behind the proxy")
        tools = await see(client, "before")
        check(set(tools) >= {"echo", "read_text_file", "create_entities", "look_up", "refund"}, "the tools of all servers, as pinned")
        check(await call(client, "echo", message="hello") == "Echo: hello", "a call reaches server-everything")
        check(await call(client, "read_text_file", path=str(story.folder / "docs/note.txt")) == "a note\n", "and server-filesystem")
        said = [await call(client, "look_up", order=str(n)) for n in range(9)]
        check(all("on its way" in text for text in said), "nine calls reach the order desk")

        step("the tenth call: the desk changes a description and a schema, and adds a tool")
        await call(client, "look_up", order="10")
        wait_for("the finding", lambda: story.get("/api/v1/mcp")["servers"][3]["findings"])
        tools = await see(client, "after the change")
        check(not {"look_up", "refund", "forward"} & set(tools), "what changed or was added is not served")
        check("echo" in tools, "everything else is")
        for name in ("look_up", "refund", "forward"):
            check(await call(client, name, order="11") == "tool_quarantined", f"{name} is in quarantine")
        async with Client(f"http://127.0.0.1:{port}/mcp") as direct:
            await see(direct, "without the proxy: the poisoned description")
        story.run("tools", "status")
        story.run("tools", "diff", "orders")
        story.run("release", "show", release["short"])
        story.run("tools", "check", code=1)

        step("the desk goes back to what it was: that alone brings nothing back")
        await http.post(f"http://127.0.0.1:{port}/restore")
        time.sleep(2.5)
        tools = await see(client, "after the desk went back")
        check("look_up" not in tools, "a quarantine stays until somebody looked")

        step("somebody looked, and clears the findings")
        for finding in story.get("/api/v1/mcp")["servers"][3]["findings"]:
            clear(story, finding["finding"])
        tools = await see(client, "after the clearing")
        check("look_up" in tools and "forward" not in tools, "the pinned tools are served again")
        check("on its way" in await call(client, "look_up", order="12"), "and called")

    step("what the run's journal kept")
    run = story.get("/api/v1/runs")["items"][0]
    run = run.get("run") or run["stamp"]["run"]
    story.run("run", "show", run)

    step("the same proxy through the official TypeScript SDK")
    node = subprocess.run(["node", str(HERE / "client.mjs"), f"{story.url}/mcp/desk"], capture_output=True, text=True)
    print("  " + (node.stdout + node.stderr).rstrip().replace("\n", "\n  "))
    check("hello from TypeScript" in node.stdout, "it lists and calls")


def clear(story, finding):
    story.run("drift", "clear", str(finding), "--reason", "the desk's release was taken back")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pinrail", required=True)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pinrail-mcp-"))
    story, port, processes = Story(arguments.pinrail, folder), free_port(), []
    try:
        prepare(folder, port)
        processes.append(subprocess.Popen([sys.executable, str(HERE / "changing_server.py"), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        log = open(folder / "up.log", "w", encoding="utf-8")
        up = [arguments.pinrail, "up", "--dir", str(folder), "--listen", "127.0.0.1:0"]
        processes.append(subprocess.Popen(up, stdout=subprocess.PIPE, stderr=log, text=True))
        line = next((line for line in processes[1].stdout if "listens on" in line), "")
        story.url = line.split("listens on ")[1].split()[0]
        wait_for("the order desk", lambda: is_up(port))
        asyncio.run(play(story, port))
        print("\nall of it held")
    except Wrong as wrong:
        print(f"\nWRONG: {wrong}\n{(folder / 'up.log').read_text()[-4000:]}", file=sys.stderr)
        return 1
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
