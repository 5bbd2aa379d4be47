"""Replicas of Pinrail over one PostgreSQL, and a balancer in front of them."""

import asyncio
import itertools
import os
import subprocess

import httpx2

PIECE = 65536


class Replica:
    """One `pinrail up`, alive or dead."""

    def __init__(self, pinrail, folder, name, store):
        self.pinrail, self.folder, self.name, self.store = pinrail, folder, name, store
        self.process = None
        folder.mkdir()

    def start(self):
        self.log = open(self.folder.with_suffix(".log"), "a", encoding="utf-8")
        command = [self.pinrail, "up", "--dir", self.folder, "--listen", "127.0.0.1:0"]
        command += ["--store", self.store, "--replica", self.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = next((line for line in self.process.stdout if "listens on" in line), None)
        if line is None:
            raise RuntimeError(f"{self.name} didn't start:\n{self.folder.with_suffix('.log').read_text()}")
        self.url = line.split("listens on ")[1].split()[0]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.api = httpx2.Client(base_url=f"{self.url}/api/v1", timeout=60)

    def kill(self):
        """At once, in the middle of whatever it does."""
        self.process.kill()
        self.end()

    def stop(self):
        """As an orchestrator stops it: requests in flight have their time. Gives its exit code."""
        self.process.terminate()
        return self.end()

    def end(self):
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        self.process = None
        return code

    def get(self, path):
        return self.api.get(path).raise_for_status().json()

    def run(self, *arguments):
        """A `pinrail` command against this replica: exit code and output."""
        environment = {**os.environ, "PINRAIL_URL": self.url, "NO_COLOR": "1"}
        command = [self.pinrail, *arguments]
        done = subprocess.run(command, cwd=self.folder.parent, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


class Balancer:
    """Gives each connection to the next replica that takes it. A connection that breaks is its client's to make again."""

    def __init__(self, replicas):
        self.replicas, self.turns = replicas, itertools.count()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *failure):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            there = await self.connect()
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
        except (OSError, asyncio.CancelledError):
            pass  # the client makes another one, or the story is over
        finally:
            writer.close()

    async def connect(self):
        first = next(self.turns)
        for place in range(len(self.replicas)):
            replica = self.replicas[(first + place) % len(self.replicas)]
            if replica.process is None:
                continue
            try:
                return await asyncio.open_connection("127.0.0.1", replica.port)
            except OSError:
                continue
        raise ConnectionRefusedError("no replica takes connections")


async def pump(reader, writer):
    """Passes bytes on until there are no more; what breaks one way ends the other as well."""
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()
