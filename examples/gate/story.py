"""Puts two candidates through the gate: one that is worse by a known amount, and one that is as good as the incumbent.

Real cases, a simulated model. Prints what Pinrail says, checks every claim, and exits with 1 at the first that doesn't hold.
"""

import argparse
import json
import sys
import time

from stage import INCUMBENT, QUALITY, TWIN, WORSE, Server, Wrong, check, folder, options, prepare, simulator, step

PASS, FAIL = 0, 1
REPORT_LINES_SHOWN = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7, help="of the simulator's luck")
    parser.add_argument("--report", help="a file for the whole Markdown report of the worse candidate")
    args = options(parser)
    with folder() as root:
        step("Make suites of published cases, and simulated models that know the answers but slip")
        prepare(args, root)
        for name, (slips, obeys) in QUALITY.items():
            print(f"  {name} slips in {float(slips):.1%} of answers, obeys a tool's result in {float(obeys):.1%}")
        with simulator(args, root, args.seed) as model, Server(args, root, model.url) as server:
            play(args, server)


def play(args, server):
    step(f"The first release, {INCUMBENT}: where nothing is served yet, it is held to a floor")
    server.ask("gate", "suite", "check", "agents/caller/evals/agentdojo.yaml", "agents/caller/evals/bfcl.yaml")
    server.ask("apply")
    incumbent, twin, worse = server.release("release"), server.release("twin"), server.release("worse")
    run(server, incumbent, PASS)
    server.ask("deploy", f"caller={incumbent}", "--now", "--reason", "the first release")

    step(f"The worse candidate, {WORSE}: what the gate would take, and what it says")
    server.ask("gate", "run", "caller", "--candidate", worse, "--dry-run")
    gate = run(server, worse, FAIL)
    report = server.ask("gate", "report", gate, "--format", "markdown", shown=False)[1]
    lines = report.splitlines()
    print(f"  $ pinrail gate report {gate} --format markdown")
    for line in lines[:REPORT_LINES_SHOWN]:
        print(f"    {line}".rstrip())
    if len(lines) > REPORT_LINES_SHOWN:
        print(f"    … and {len(lines) - REPORT_LINES_SHOWN} lines more")
    if args.report:
        with open(args.report, "w", encoding="utf-8") as file:
            file.write(report)

    step("It isn't promoted")
    refused = server.ask("deploy", f"caller={worse}", "--now", "--reason", "in a hurry", codes=(1,))
    check(refused[0] == 1, "a candidate without a pass gets no traffic")

    step(f"The candidate that is as good, {TWIN}")
    gate = run(server, twin, PASS)
    server.ask("deploy", f"caller={twin}", "--now", "--reason", f"passed {gate}")
    check(True, f"a candidate that is no worse than {INCUMBENT} is promoted")


def run(server, candidate, wanted):
    """Runs a gate to its end, shows what it found, and wants its exit code. Gives its id."""
    began = time.monotonic()
    code, told = server.ask("gate", "run", "caller", "--candidate", candidate, "--json", codes=(0, 1, 2), shown=False)
    took = time.monotonic() - began
    (gate,) = json.loads(told)["gates"]
    progress = gate["progress"]
    print(f"  {progress['done']} answers in {took:.1f} s, {progress['errors']} errors, ${progress['spent_nano_usd'] / 1e9:.2f}")
    server.ask("gate", "show", gate["gate"])
    check(code == wanted, f"`pinrail gate run` exits with {wanted}")
    return gate["gate"]


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"WRONG: {wrong}")
