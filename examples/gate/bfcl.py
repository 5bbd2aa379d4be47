"""Turns the cases of the Berkeley Function Calling Leaderboard into a suite.

    python3 bfcl.py bfcl_eval-*.whl agents/caller/evals                  all that can be turned into cases
    python3 bfcl.py bfcl_eval-*.whl agents/caller/evals --cases 1000     a sample, each category in its share

Takes the wheel of the package `bfcl-eval`, or the folder that it was unpacked to, and reads only data: nothing of the
package is run. Writes `bfcl.yaml` and `data/bfcl.jsonl`, and says on stderr what was left out and why.
"""

import argparse
import collections
import json
import random
import re
import sys
import zipfile
from pathlib import Path

# Categories with one question and known calls; with calls that nobody wants; and with any call at all.
CALLS = ["simple_python", "simple_java", "simple_javascript", "multiple", "parallel", "parallel_multiple"]
CALLS += ["live_simple", "live_multiple", "live_parallel", "live_parallel_multiple"]
NO_CALL = ["irrelevance", "live_irrelevance"]
ANY_CALL = ["live_relevance"]

# What types are called in BFCL, in Python, Java and JavaScript, and in JSON Schema. `any` is no type there.
TYPES = {
    "dict": "object", "object": "object", "HashMap": "object", "Hashtable": "object",
    "array": "array", "list": "array", "tuple": "array", "Array": "array", "ArrayList": "array",
    "Queue": "array", "Stack": "array",
    "float": "number", "number": "number", "double": "number",
    "integer": "integer", "long": "integer", "short": "integer", "byte": "integer", "Bigint": "integer",
    "string": "string", "String": "string", "char": "string",
    "boolean": "boolean", "bool": "boolean", "Boolean": "boolean",
    "any": None, "Any": None, "": None,
}
KEPT = ["description", "default", "enum", "format", "maximum", "minimum", "minItems", "maxItems"]

HEAD = """\
# Made by bfcl.py from the data of the package bfcl-eval (Berkeley Function Calling Leaderboard, Apache-2.0).
kind: success
name: bfcl
description: Calls the right functions with the right arguments, or none where none fits
tests: file://data/bfcl.jsonl
"""


class Unfit(Exception):
    """Why a row makes no case."""


def main():
    args = arguments()
    data = Data(args.data)
    left_out = collections.Counter()
    rows = 0
    seen = set()
    cases = {}
    for category in CALLS + NO_CALL + ANY_CALL:
        known = data.rows(f"possible_answer/{category}") if category in CALLS else []
        answers = {row["id"]: row["ground_truth"] for row in known}
        cases[category] = []
        for row in data.rows(category):
            rows += 1
            try:
                cases[category].append(once(case(category, row, answers), seen))
            except Unfit as why:
                left_out[str(why)] += 1
    converted = sum(map(len, cases.values()))
    if args.cases:
        cases = sample(cases, args.cases, args.seed)
    written = [case for group in cases.values() for case in group]
    write(args.evals, written)
    print(f"bfcl: {rows} rows read, {converted} can be cases, {len(written)} written", file=sys.stderr)
    for category, group in cases.items():
        print(f"  {category:24} {len(group):5}", file=sys.stderr)
    print(f"  left out: {sum(left_out.values())}", file=sys.stderr)
    for why, count in left_out.most_common():
        print(f"    {count:5}  {why}", file=sys.stderr)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the wheel of bfcl-eval, or the folder that it was unpacked to")
    parser.add_argument("evals", type=Path, help="where to write the suite, such as agents/caller/evals")
    parser.add_argument("--cases", type=int, help="how many cases to take; all where nothing is said")
    parser.add_argument("--seed", type=int, default=1, help="of the sample: the same seed takes the same cases")
    return parser.parse_args()


class Data:
    """The data files, in a wheel or in a folder."""

    def __init__(self, path):
        if path.is_dir():
            found = [one for one in [path, path / "data", path / "bfcl_eval" / "data"] if (one / "possible_answer").is_dir()]
            if not found:
                sys.exit(f"{path} holds no bfcl_eval/data/possible_answer: name the folder that the wheel was unpacked to")
            self.root = found[0]
        elif zipfile.is_zipfile(path):
            self.root = zipfile.Path(path) / "bfcl_eval" / "data"
        else:
            sys.exit(f"{path} is neither a wheel nor a folder; `pip download --no-deps bfcl-eval` gets the wheel")

    def rows(self, name):
        folder, _, category = name.rpartition("/")
        folder = self.root / folder if folder else self.root
        for file in folder.iterdir():
            if re.fullmatch(rf"BFCL_v\d+_{category}\.json", file.name):
                return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        sys.exit(f"the data has no file BFCL_v…_{name}.json: this script was written for bfcl-eval 2026.3.23")


def case(category, row, answers):
    """Makes a test of a suite out of a row."""
    if len(row["question"]) != 1:
        raise Unfit("more than one turn")
    messages = [{"role": message["role"], "content": message["content"]} for message in row["question"][0]]
    if any(message["role"] == "system" for message in messages):
        raise Unfit("it brings a system prompt, which is the release's to say")
    if not messages[-1]["content"].strip():
        raise Unfit("an empty question")
    tools = [tool(function) for function in row["function"]]
    if len({one["function"]["name"] for one in tools}) < len(tools):
        raise Unfit("two functions have one name")
    schemas = {one["function"]["name"]: one["function"]["parameters"] for one in tools}
    if category in CALLS:
        check = {"type": "tool-calls", "value": [call(truth, schemas) for truth in answers[row["id"]]]}
    else:
        check = {"type": "tool-calls" if category in NO_CALL else "not-tool-calls", "value": []}
    made = {
        "description": row["id"],
        "turns": [{"messages": messages}],
        "request": {"tools": tools},
        "assert": [check],
        "metadata": {"category": category},
    }
    if re.search(r"\{[{%#]", json.dumps(made, ensure_ascii=False)):
        raise Unfit("a text that would be taken for a template")
    return made


def once(made, seen):
    asked = json.dumps([made["turns"], made["request"], made["assert"]], sort_keys=True)
    if asked in seen:
        raise Unfit("the same as another row")
    seen.add(asked)
    return made


def tool(function):
    described = {"name": name_of(function["name"]), "description": function.get("description", "")}
    return {"type": "function", "function": {**described, "parameters": schema(function["parameters"])}}


def name_of(name):
    """Names may have no dots in OpenAI's format; BFCL itself writes `_` for such models."""
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    if not 1 <= len(name) <= 64:
        raise Unfit("a function's name is too long")
    return name


def schema(of):
    if of.get("type", "any") not in TYPES:
        raise Unfit(f"a parameter of type {of['type']}")
    kind = TYPES[of.get("type", "any")]
    made = {"type": kind} if kind else {}
    made.update({key: of[key] for key in KEPT if key in of})
    if isinstance(of.get("items"), dict):
        made["items"] = schema(of["items"])
    if isinstance(of.get("properties"), dict):
        made["properties"] = {name: schema(one) for name, one in of["properties"].items()}
    if isinstance(of.get("required"), list):
        made["required"] = of["required"]
    return made


def call(truth, schemas):
    """Makes an expected call: for each argument, BFCL lists the values that it accepts, `""` for none at all."""
    [(name, accepted)] = truth.items()
    name = name_of(name)
    if name not in schemas:
        raise Unfit("the answer calls a function that isn't offered")
    properties = schemas[name].get("properties", {})
    if set(accepted) - set(properties):
        raise Unfit("the answer has an argument that the function doesn't have")
    if set(schemas[name].get("required", [])) - set(accepted):
        raise Unfit("the answer lacks an argument that is required")
    return {"name": name, "arguments": {key: values(accepted[key], properties[key]) for key in accepted}}


def values(accepted, of):
    if not isinstance(accepted, list) or not accepted:
        raise Unfit("an answer that is no list of accepted values")
    given = [one for one in accepted if one != ""]
    if given and not any(is_of(one, of.get("type")) for one in given):
        raise Unfit("the answer isn't of the parameter's type")
    if not given:
        return {"$optional": ""}
    made = [value(one) for one in given]
    made = made[0] if len(made) == 1 else {"$any": made}
    return {"$optional": made} if "" in accepted else made


def value(one):
    """Objects list the accepted values of each of their keys; everything else is meant as it is."""
    if isinstance(one, dict):
        return {key: inner(accepted) for key, accepted in one.items()}
    if isinstance(one, list) and any(isinstance(item, dict) for item in one):
        if not all(isinstance(item, dict) for item in one):
            raise Unfit("an answer with objects and other values in one list")
        return [value(item) for item in one]
    return plain(one)


def inner(accepted):
    if not isinstance(accepted, list) or not accepted:
        raise Unfit("an answer whose object doesn't list accepted values")
    given = [plain(one) for one in accepted if one != ""]
    if not given:
        return {"$optional": ""}
    made = given[0] if len(given) == 1 else {"$any": given}
    return {"$optional": made} if "" in accepted else made


def plain(one):
    if '{"' in json.dumps(one):
        raise Unfit("an answer with objects in objects")
    return one


def is_of(one, kind):
    return kind is None or {
        "string": isinstance(one, str),
        "boolean": isinstance(one, bool),
        "integer": isinstance(one, int) and not isinstance(one, bool),
        "number": isinstance(one, (int, float)) and not isinstance(one, bool),
        "array": isinstance(one, list),
        "object": isinstance(one, dict),
    }[kind]


def sample(cases, count, seed):
    """Takes so many cases, each category in its share, and of cases that ask the same (with other tools) one."""
    whole = [one for group in cases.values() for one in group]
    random.Random(seed).shuffle(whole)
    asked = set()
    chosen = {category: [] for category in cases}
    for one in whole:
        question = one["turns"][-1]["messages"][-1]["content"].lower()
        if question not in asked:
            asked.add(question)
            chosen[one["metadata"]["category"]].append(one)
    whole = sum(map(len, chosen.values()))
    shares = {category: min(count, whole) * len(group) / whole for category, group in chosen.items()}
    sizes = {category: int(share) for category, share in shares.items()}
    by_rest = sorted(shares, key=lambda category: sizes[category] - shares[category])
    for category in by_rest[: min(count, whole) - sum(sizes.values())]:
        sizes[category] += 1
    return {category: group[: sizes[category]] for category, group in chosen.items()}


def write(evals, cases):
    (evals / "data").mkdir(parents=True, exist_ok=True)
    (evals / "bfcl.yaml").write_text(HEAD, encoding="utf-8")
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in cases]
    (evals / "data" / "bfcl.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
