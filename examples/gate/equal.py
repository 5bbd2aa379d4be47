"""Puts a candidate that is exactly as good as its incumbent through the gate, once for each seed of the simulator, and counts
the verdicts. The two have the same rates and another id, so each has luck of its own.
"""

import argparse
import collections
import json
import sys
import time

from stage import Server, Wrong, folder, options, prepare, simulator

VERDICTS = {0: "pass", 1: "fail", 2: "inconclusive"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="?", default=20, help="how many; 20 where nothing is said")
    args = options(parser)
    with folder() as root:
        prepare(args, root)
        found = collections.Counter()
        with simulator(args, root, 1) as model:
            address = model.url
        with Server(args, root, address) as server:
            server.ask("apply")
            incumbent, twin = server.release("release"), server.release("twin")
            for seed in range(1, args.seeds + 1):
                port = address.removesuffix("/v1").rpartition(":")[2]
                with simulator(args, root, seed, port):
                    found[run(server, seed, incumbent, twin)] += 1
    print("\n" + ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS.values()) + f" of {args.seeds}")


def run(server, seed, incumbent, twin):
    began = time.monotonic()
    asked = ["gate", "run", "caller", "--candidate", twin, "--incumbent", incumbent, "--reason", f"equal, seed {seed}", "--json"]
    code, told = server.ask(*asked, codes=tuple(VERDICTS), shown=False)
    (gate,) = json.loads(told)["gates"]
    took = time.monotonic() - began
    print(f"seed {seed:3}  {VERDICTS[code]:12} {gate['progress']['done']} answers in {took:.1f} s  {gate['gate']}", flush=True)
    return VERDICTS[code]


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"WRONG: {wrong}")
