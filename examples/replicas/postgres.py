"""A throwaway PostgreSQL: made in a folder, crashed, started again."""

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def programs():
    """Where `initdb` and `pg_ctl` are: on the PATH, or where Debian has them."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "pg_ctl")):
            return folder
    raise FileNotFoundError("no initdb on the PATH or in /usr/lib/postgresql: install PostgreSQL's server")


class Postgres:
    """One server, alive or dead. What it acknowledged is on the disk: nothing of its durability is turned off."""

    def __init__(self, folder):
        self.bin, self.data, self.port = programs(), folder / "data", free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        folder.mkdir()
        # It refuses to run as root.
        self.as_user = []
        if os.geteuid() == 0:
            user = "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
            shutil.chown(folder, user)
            self.as_user = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
        self.run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        self.settings = " ".join(f"-c {name}={value}" for name, value in settings.items())

    def run(self, name, *arguments):
        command = [*self.as_user, self.bin / name, f"--pgdata={self.data}", *arguments]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed: {done.stdout}{done.stderr}")

    def start(self):
        log = self.data.parent / "log"
        self.run("pg_ctl", "start", "--wait", f"--log={log}", f"--options={self.settings}")

    def crash(self):
        """Ends without a last checkpoint and cuts all connections, as a machine that loses its power does."""
        self.run("pg_ctl", "stop", "--mode=immediate")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        self.crash()
