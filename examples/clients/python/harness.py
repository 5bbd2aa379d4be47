"""What every Python client is asked to do, and how its answers are told.

A client is a class with one method per feature. Each asks through `self.url` (Pinrail) for `self.agent` and returns what
it got; the checks are here, the same for all. Results go to stdout, one JSON object per line.
"""

import argparse
import json
import sys
import time
import traceback
import urllib.request

FEATURES = ("plain", "stream", "tools", "structured", "errors", "cancel", "kept")
HELLO = "Hello"
SUM = "What is 17 + 25?"
WEATHER = "Call get_weather for 'Oslo'."
WEATHER_FOUND = "12 degrees and rain"
PERSON = "The person is 'Ada', 36 years old."
# Long enough to leave in the middle: 50 ms per word.
LONG = "Repeat: " + " ".join(f"word{number}" for number in range(60))
WAIT_SECONDS = 10

SCHEMA_WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "The city's name"}},
    "required": ["city"],
    "additionalProperties": False,
}
SCHEMA_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    assert city == "Oslo", city
    return WEATHER_FOUND


class Client:
    """One client in one dialect. Subclasses ask; `run` checks."""

    def __init__(self, url, agent):
        self.url, self.agent = url, agent
        self.slow, self.busy = f"{agent}-slow", f"{agent}-busy"

    def plain(self):
        """Asks SUM; returns the text and the usage's total tokens."""
        raise NotImplementedError

    def stream(self):
        """Asks SUM; returns the pieces of text."""
        raise NotImplementedError

    def tools(self):
        """Asks WEATHER, runs get_weather, returns (arguments of the call, final text)."""
        raise NotImplementedError

    def structured(self):
        """Asks PERSON; returns a dict of SCHEMA_PERSON."""
        raise NotImplementedError

    def ask(self, model, **wrong):
        """Asks `model` HELLO, plainly, without retries; `wrong` are parameters that the provider must refuse."""
        raise NotImplementedError

    # Keyword arguments for `ask` that the provider refuses.
    wrong = {"temperature": 5}
    # The typed exceptions of an unknown model, a wrong parameter and a rate limit.
    not_found = refused = limited = Exception

    def status(self, error):
        """Gives the HTTP status that the exception tells."""
        return error.status_code

    def leave(self):
        """Streams LONG from `self.slow`, and leaves after the second piece."""
        raise NotImplementedError

    # Clients that can go on from an answer that the provider keeps: says HELLO, goes on with SUM from there, returns the
    # text.
    kept = None


def check(holds, *what):
    if not holds:
        raise AssertionError(" ".join(str(one) for one in what))


def check_plain(client, _sim):
    text, tokens = client.plain()
    check("42" in text, "no 42 in", repr(text))
    check(tokens and tokens > 5, "usage is", tokens)


def check_stream(client, _sim):
    pieces = [piece for piece in client.stream() if piece]
    check("42" in "".join(pieces), "no 42 in", pieces)
    check(len(pieces) >= 3, "not streamed:", pieces)


def check_tools(client, _sim):
    arguments, text = client.tools()
    check(arguments == {"city": "Oslo"}, "arguments are", arguments)
    check(WEATHER_FOUND in text, "no result in", repr(text))


def check_structured(client, _sim):
    person = client.structured()
    check(person == {"name": "Ada", "age": 36}, "got", person)


def check_errors(client, _sim):
    cases = [
        ("an unknown model", "nobody", {}, client.not_found, 404),
        ("a wrong parameter", client.agent, client.wrong, client.refused, 400),
        ("a rate limit", client.busy, {}, client.limited, 429),
    ]
    for what, model, wrong, kind, status in cases:
        if wrong is None:
            continue
        try:
            answer = client.ask(model, **wrong)
        except kind as error:
            check(client.status(error) == status, what, "is", client.status(error), error)
        except Exception as error:
            raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error
        else:
            raise AssertionError(f"{what} was answered: {answer!r}")


def check_cancel(client, sim):
    before = cancelled(sim)
    client.leave()
    ends = time.monotonic() + WAIT_SECONDS
    while cancelled(sim) == before:
        check(time.monotonic() < ends, "the provider goes on after the client left")
        time.sleep(0.05)


def check_kept(client, _sim):
    text = client.kept()
    check("42" in text, "no 42 in", repr(text))


def cancelled(sim):
    """How many answers the provider counts as left by their client."""
    with urllib.request.urlopen(f"{sim}/sim/state", timeout=WAIT_SECONDS) as response:
        models = json.load(response)["models"]
    return sum(model["cancelled"] for model in models.values())


def run(rows):
    """Runs the row that the command line names, on the agent that it names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("row", choices=rows)
    parser.add_argument("--url", required=True, help="Pinrail, without /v1")
    parser.add_argument("--sim", required=True, help="the provider, to see what it counts")
    parser.add_argument("--agent", required=True)
    args = parser.parse_args()
    for feature in FEATURES:
        result = {"row": args.row, "agent": args.agent, "feature": feature, "ok": True, "detail": ""}
        try:
            if feature == "kept" and rows[args.row].kept is None:
                result["detail"] = "has none"
            else:
                globals()[f"check_{feature}"](rows[args.row](args.url, args.agent), args.sim)
        except Exception as error:
            result |= {"ok": False, "detail": f"{type(error).__name__}: {error}"[:600]}
            traceback.print_exc(file=sys.stderr)
        print(json.dumps(result), flush=True)
