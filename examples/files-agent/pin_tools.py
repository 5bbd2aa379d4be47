"""Pins the tools: writes agents/files/tools.json from what the live MCP servers say. The same servers, the same bytes.

    python pin_tools.py             write the file
    python pin_tools.py --check     compare instead, and fail when the servers no longer say what is pinned
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from toolbox import Toolbox


async def main():
    parser = argparse.ArgumentParser(description="Pins the tools of the live MCP servers.")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    parser.add_argument("--file", type=Path, default=Path(__file__).parent / "agents/files/tools.json")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        async with Toolbox(folder) as toolbox:
            tools, changing = toolbox.openai(), toolbox.not_read_only()
    text = json.dumps(tools, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    if args.check:
        pinned = json.loads(args.file.read_text(encoding="utf-8"))
        before = {tool["function"]["name"]: tool for tool in pinned}
        now = {tool["function"]["name"]: tool for tool in tools}
        drift = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        if drift:
            sys.exit(f"the servers say something else than {args.file.name} about: {', '.join(drift)}")
        print(f"{len(tools)} tools, all as pinned")
        return
    args.file.write_text(text, encoding="utf-8")
    print(f"{len(tools)} tools pinned in {args.file.name}")
    print(f"not read-only by their own word, so listed in side_effects: {', '.join(changing)}")


if __name__ == "__main__":
    asyncio.run(main())
