"""Writes a script for `pinrail sim`: checkpoints that know the answers to the suites' cases and slip at given rates.

    python3 simulate.py agents/caller/evals sim.toml --checkpoint sim-caller-2026-03-01 0.04 0.005

A checkpoint is its id, the share of answers in which it slips, and the share in which it does what a tool's result
orders. As in life some cases are harder than others, for all checkpoints alike: seven in ten cases meet 0.4 times the share
of slips, a quarter 1.6 times, and one in twenty 6.4 times, so that the mean is the share. Cases that must pass
are easy: a checkpoint obeys in them only if it obeys in more than one case of fifty.
"""

import argparse
import collections
import hashlib
import json
import sys
from pathlib import Path

HARDNESS = [(70, 0.4), (25, 1.6), (5, 6.4)]
MUST_PASS_ABOVE = 0.02


class Unfit(Exception):
    """Why the simulator can't know a case."""


def main():
    args = arguments()
    cases = [json.loads(line) for file in sorted((args.evals / "data").glob("*.jsonl")) for line in file.open(encoding="utf-8")]
    # A rule looks for its words anywhere in a message, so longer ones come first.
    cases.sort(key=lambda case: -len(question(case)))
    known, unknown, seen = [], collections.Counter(), set()
    for case in cases:
        try:
            known.append(Known(case, seen))
        except Unfit as why:
            unknown[str(why)] += 1
    script = ["# Made by simulate.py. What the keys are: docs/simulated-provider.md\n"]
    for name, slips, obeys in args.checkpoint:
        script.append(f"[[checkpoint]]\nid = {toml(name)}\nsampling = true\n")
        # What several cases ask the same way, such as an attacked user's task, needs one rule.
        script += dict.fromkeys(rule for one in known for rule in one.rules(float(slips), float(obeys)))
    args.script.write_text("\n".join(script), encoding="utf-8")
    print(f"simulate: {len(args.checkpoint)} checkpoints that know {len(known)} of {len(cases)} cases", file=sys.stderr)
    for why, count in unknown.most_common():
        print(f"    {count:5}  {why}", file=sys.stderr)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evals", type=Path, help="where bfcl.py and agentdojo.py have written the suites")
    parser.add_argument("script", type=Path, help="the script to write, for `pinrail sim --script`")
    what = ("ID", "SLIPS", "OBEYS")
    told = "an id and two shares; may be given again"
    parser.add_argument("--checkpoint", nargs=3, metavar=what, action="append", required=True, help=told)
    args = parser.parse_args()
    for name, slips, obeys in args.checkpoint:
        if not (0 <= float(slips) <= 0.15 and 0 <= float(obeys) <= 0.15):
            parser.error(f"{name}: shares are from 0 to 0.15, so that the hardest cases stay below 1")
    return args


class Known:
    """A case with its right answer, and a wrong one."""

    def __init__(self, case, seen):
        self.asked = question(case)
        named = json.dumps([case["turns"], case.get("tool_results")])
        self.lot = int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "big")
        self.hardness = hardness(self.lot % 100)
        self.must_pass = case.get("must_pass", False)
        self.tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in case["request"]["tools"]}
        self.results = case.get("tool_results", [])
        reads = case["metadata"].get("reads")
        if reads:
            self.right = [(reads["name"], reads["arguments"])]
            self.orders = [(call["name"], call["arguments"]) for call in case["metadata"]["harmful"]]
            # Of the order itself, what no other case's holds: the line between the two empty ones.
            self.order = self.results[0]["result"].split("\n\n", 3)[2]
            return
        key = self.asked.lower()
        if key in seen:
            raise Unfit("asks what another case asks, with other tools")
        seen.add(key)
        [check] = case["assert"]
        if check["type"] == "not-tool-calls":
            self.right, self.wrong = [(next(iter(self.tools)), None)], []
        else:
            self.right = [(call["name"], arguments_of(call["arguments"])) for call in check["value"]]
            self.wrong = self.slip(check["value"])

    def slip(self, expected):
        """Chooses how the case is got wrong: another value, another tool, one call too few, or words only."""
        if not expected:
            return [(list(self.tools)[self.lot // 100 % len(self.tools)], None)]
        others = [name for name in self.tools if name not in {call["name"] for call in expected}]
        ways = []
        for at, call in enumerate(expected):
            changed = other_value(call["arguments"])
            if changed is not None:
                ways.append([*self.right[:at], (call["name"], changed), *self.right[at + 1 :]])
        if others:
            ways.append([(others[self.lot // 100 % len(others)], None), *self.right[1:]])
        if len(expected) > 1:
            ways.append(self.right[:-1])
        ways.append([])
        return ways[self.lot // 10_000 % len(ways)]

    def rules(self, slips, obeys):
        if self.results:
            if self.must_pass and obeys <= MUST_PASS_ABOVE:
                obeys = 0
            # Only the text of a tool's result is obeyed; answers to it are else the simulator's own.
            obey = rule(self.asked, self.orders, rate=obeys * self.hardness, result=self.order)
            return [*([obey] if obeys else []), rule(self.asked, self.right)]
        return [rule(self.asked, self.right, rate=1 - slips * self.hardness), rule(self.asked, self.wrong)]


def question(case):
    return case["turns"][-1]["messages"][-1]["content"]


def hardness(percent):
    for share, factor in HARDNESS:
        if percent < share:
            return factor
        percent -= share
    raise AssertionError("the shares are a hundred")


def arguments_of(expected):
    """Gives arguments that an expected call accepts: of several values the first, and none where that may be."""
    made = {}
    for key, value in expected.items():
        value = accepted(value)
        if value is not None:
            made[key] = value
    return made


def accepted(value):
    if isinstance(value, dict):
        if "$optional" in value:
            inner = value["$optional"]
            return None if inner == "" else accepted(inner)
        if "$any" in value:
            return accepted(value["$any"][0])
        return arguments_of(value)
    if isinstance(value, list):
        return [accepted(item) for item in value]
    if value is None:
        raise Unfit("null can't be written in a script")
    return value


def other_value(expected):
    """Gives the arguments with one value that isn't accepted; none where there is no text or number to change."""
    for key, value in expected.items():
        optional = isinstance(value, dict) and "$optional" in value
        inner = value["$optional"] if optional else value
        options = inner["$any"] if isinstance(inner, dict) and "$any" in inner else [inner]
        first = options[0]
        if isinstance(first, bool):
            wrong = not first
        elif isinstance(first, (int, float)):
            wrong = next(first + step for step in range(1, 1000) if first + step not in options)
        elif isinstance(first, str):
            wrong = first + " or so"
        else:
            continue
        if wrong not in options:
            return {**arguments_of(expected), key: wrong}
    return None


def rule(asked, calls, rate=None, result=None):
    lines = ["[[checkpoint.scripted]]", f"contains = {toml(asked)}"]
    if result:
        lines.append(f"result_contains = {toml(result)}")
    if rate is not None:
        lines.append(f"rate = {round(rate, 6)}")
    if calls:
        lines.append("tools = [" + ", ".join(called(name, arguments) for name, arguments in calls) + "]")
    else:
        lines.append('reply = "I can\'t do that with the tools that I have."')
    return "\n".join(lines) + "\n"


def called(name, arguments):
    given = "" if arguments is None else f", arguments = {toml(arguments)}"
    return f"{{ name = {toml(name)}{given} }}"


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(value)
    raise Unfit(f"{type(value).__name__} can't be written in a script")


if __name__ == "__main__":
    main()
