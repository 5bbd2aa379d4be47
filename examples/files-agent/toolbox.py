"""The agent's hands: two MCP servers over stdio, and their tools in the form that OpenAI's API takes."""

import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from mcp import Client, StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

BIN = Path(__file__).parent / "node_modules" / ".bin"


class Toolbox:
    """Starts the servers, knows which tool is whose, and calls it. The filesystem server sees `folder` alone."""

    def __init__(self, folder):
        self.commands = [["mcp-server-everything", "stdio"], ["mcp-server-filesystem", str(folder)]]
        self.tools = {}  # name -> (the tool as its server describes it, the client that calls it)

    async def __aenter__(self):
        self.stack = AsyncExitStack()
        # The servers' greetings are nobody's business; with MCP_LOG set they are shown.
        talk = self.stack.enter_context(open(os.devnull, "w")) if "MCP_LOG" not in os.environ else sys.stderr
        for command, *args in self.commands:
            server = StdioServerParameters(command=str(BIN / command), args=args)
            client = await self.stack.enter_async_context(Client(stdio_client(server, errlog=talk)))
            for tool in await all_tools(client):
                if tool.name in self.tools:
                    raise ValueError(f"two servers have a tool named {tool.name}")
                self.tools[tool.name] = (tool, client)
        return self

    async def __aexit__(self, *failure):
        return await self.stack.__aexit__(*failure)

    def openai(self):
        """The tools in OpenAI's form, by name: the same servers always give the same list."""
        return [
            {
                "type": "function",
                "function": {"name": name, "description": tool.description or "", "parameters": tool.input_schema},
            }
            for name, (tool, _) in sorted(self.tools.items())
        ]

    def not_read_only(self):
        """The tools that don't call themselves read-only."""
        hints = {name: tool.annotations for name, (tool, _) in self.tools.items()}
        return sorted(name for name, hint in hints.items() if not (hint and hint.read_only_hint))

    async def call(self, name, arguments):
        """Calls a tool: (text, whether it is an error). What goes wrong is told to the model, not raised."""
        if name not in self.tools:
            return f"there is no tool named {name}", True
        if not isinstance(arguments, dict):
            return f"the arguments of {name} are not a JSON object", True
        try:
            result = await self.tools[name][1].call_tool(name, arguments, read_timeout_seconds=30)
        except MCPError as error:
            return str(error), True
        text = "\n".join(part.text for part in result.content if part.type == "text")
        return text, bool(result.is_error)


async def all_tools(client):
    """All pages of a server's tool list."""
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            return tools
