"""Starts a provider and Pinrail in a throwaway folder, runs the clients, and tells what works; `run.sh` starts it."""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rows import FEATURES, REFUSED, ROWS

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "clients.md"
START_SECONDS = 60
ROW_SECONDS = 180  # for all features of a client on one agent
INSTALLS_AT_ONCE = 2
VENDORS = {"gpt": "OpenAI", "claude": "Anthropic"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pinrail", required=True)
    parser.add_argument("--only", default="", help="names of clients, or how they begin, with commas between")
    parser.add_argument("--direct", action="store_true", help="on the provider itself, past Pinrail")
    parser.add_argument("--write", action="store_true", help="put the table into docs/clients.md")
    parser.add_argument("--packages", type=Path, help="a folder to keep the installed packages in, for the next time")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    begins = tuple(name for name in args.only.split(",") if name)
    rows = [row for row in ROWS if not begins or row.name.startswith(begins)]
    if not rows:
        sys.exit(f"no client begins with {args.only}; there are {', '.join(row.name for row in ROWS)}")
    with tempfile.TemporaryDirectory(prefix="pinrail-clients-") as work, contextlib.ExitStack() as stack:
        work = Path(work)
        packages = args.packages or work / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        install(rows, packages.resolve())
        sim = started(stack, work, "sim", [args.pinrail, "sim", "--script", HERE / "sim.toml", "--listen", "127.0.0.1:0"], r"^(http://\S+)/v1")
        url = sim if args.direct else served(stack, work, args.pinrail, sim)
        results = [result for row in rows for result in run_row(row, url, sim, packages.resolve(), work)]
    print("\n" + table(rows, results))
    failed = [result for result in results if result["told"].startswith("FAIL")]
    for result in failed:
        print(f"{result['row']} {result['feature']} on {result['agent']}: {result['told']}")
    if args.write:
        write(table(rows, results))
    refused = sum(result["told"].startswith("refused") for result in results)
    worked = sum(result["told"] == "ok" for result in results)
    print(f"{worked} work, {refused} refused as documented, {len(failed)} fail")
    sys.exit(1 if failed else 0)


def install(rows, packages):
    """Installs what the rows need, each set in an environment of its own, since they disagree about versions."""

    def python(name):
        target = packages / name
        wanted = (HERE / "python" / "requirements" / f"{name}.txt").read_text()
        done = target / "installed.txt"
        if done.exists() and done.read_text() == wanted:
            return
        subprocess.run([sys.executable, "-m", "venv", "--clear", target], check=True)
        pip = [target / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "python" / "requirements" / f"{name}.txt"], check=True)
        done.write_text(wanted)

    def npm(_):
        target = packages / "npm"
        target.mkdir(exist_ok=True)
        for file in (HERE / "npm").glob("*.*"):
            shutil.copy(file, target)
        subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"], cwd=target, check=True)

    names = sorted({row.packages for row in rows})
    print(f"installing the packages of {', '.join(names)} …", flush=True)
    with ThreadPoolExecutor(INSTALLS_AT_ONCE) as pool:
        list(pool.map(lambda name: npm(name) if name == "npm" else python(name), names))


def started(stack, work, name, command, pattern):
    """Starts a process that says on stdout where it listens; gives what the pattern finds there."""
    log = open(work / f"{name}.log", "w")
    process = subprocess.Popen([str(part) for part in command], cwd=work, stdout=subprocess.PIPE, stderr=log, text=True)

    def stop():
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()

    stack.callback(stop)
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found[1]
    sys.exit(f"{name} didn't start:\n{(work / f'{name}.log').read_text()}")


def served(stack, work, pinrail, sim):
    """Starts Pinrail on a copy of this folder's files, and deploys the agents."""
    project = work / "project"
    shutil.copytree(HERE / "agents", project / "agents")
    files = (HERE / "pinrail.toml").read_text().replace("http://127.0.0.1:7071", sim)
    (project / "pinrail.toml").write_text(files)
    url = started(stack, work, "up", [pinrail, "up", "--dir", project, "--listen", "127.0.0.1:0"], r"listens on (\S+)")
    ready(url)

    def run(*command):
        done = subprocess.run([pinrail, *command, "--server", url], cwd=project, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"pinrail {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    run("apply", "-f", ".")
    listed = json.loads(run("release", "list", "--json"))["items"]
    pairs = [f"{agent}={release['short']}" for release in listed for agent in release["agents"]]
    run("deploy", *pairs, "--now", "--reason", "clients")
    return url


def ready(url):
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > ends:
                sys.exit(f"Pinrail isn't ready: {error}")
            time.sleep(0.1)


def run_row(row, url, sim, packages, work):
    """Runs one client on both agents; gives one result per agent and feature."""
    results = []
    for agent in VENDORS:
        print(f"{row.name} on {agent} …", end=" ", flush=True)
        is_npm = row.packages == "npm"
        program = ["node", packages / "npm" / row.script] if is_npm else [packages / row.packages / "bin" / "python", HERE / "python" / row.script]
        command = [str(part) for part in (*program, row.name, "--url", url, "--sim", sim, "--agent", agent)]
        # No proxy of the machine's stands between two processes on it.
        env = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "LITELLM_LOCAL_MODEL_COST_MAP": "true"}
        log = work / f"{row.name}-{agent}.log"
        with open(log, "w") as stderr:
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env, timeout=ROW_SECONDS)
                lines = done.stdout.splitlines()
            except subprocess.TimeoutExpired as late:
                lines = (late.stdout or b"").decode().splitlines()
        said = {one["feature"]: one for one in map(json.loads, filter(lambda line: line.startswith("{"), lines))}
        for feature in FEATURES:
            last = (log.read_text().strip().splitlines() or ["it said nothing"])[-1]
            one = said.get(feature, {"ok": False, "detail": f"it ended before: {last}"})
            results.append({"row": row.name, "agent": agent, "feature": feature, "told": told(row.name, feature, agent, one)})
        print(" ".join(f"{one['feature']}:{one['told'].split()[0]}" for one in results[-len(FEATURES):]), flush=True)
    return results


def told(row, feature, agent, one):
    """Says `ok`, `–` where the client has no such thing, `refused (field)` where that is documented, or `FAIL` with the reason."""
    field = REFUSED.get((row, feature, agent))
    if one["ok"] and one["detail"]:
        return "–"
    if one["ok"]:
        return "FAIL works, though documented as refused" if field else "ok"
    if field and field in one["detail"]:
        return f"refused ({field})"
    return f"FAIL {one['detail']}"


def table(rows, results):
    """Writes the table: a line per client and vendor, a column per feature."""
    cells = {(one["row"], one["agent"], one["feature"]): one["told"].split()[0] if one["told"].startswith("FAIL") else one["told"] for one in results}
    lines = [f"| client | speaks | release of | {' | '.join(FEATURES)} |", f"|---|---|---|{'---|' * len(FEATURES)}"]
    for row in rows:
        for agent in sorted(VENDORS, key=lambda agent: agent != row.vendor):
            of = f"{VENDORS[agent]} ({'own' if agent == row.vendor else 'other'})"
            lines.append(f"| {row.shown} | {row.dialect} | {of} | {' | '.join(cells[row.name, agent, feature] for feature in FEATURES)} |")
    return "\n".join(lines)


def write(table):
    """Puts the table between its marks in the page."""
    begin, end = "<!-- table: written by examples/clients/run.sh --write -->\n", "<!-- /table -->"
    page = PAGE.read_text()
    before, rest = page.split(begin)
    PAGE.write_text(before + begin + table + "\n" + end + rest.split(end, 1)[1])
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
