"""What the incumbent answers, asked again and again while others write.

A picture of its world is every answer that one of its runs gets: the best passages for 50 questions with their scores, whole
conversations, shared context. The answers are compared as bytes. Only `moment`, the time of asking, is left out.
"""

import re
import threading

from kb import Pinrail, Refused

TOP = 10  # passages of an answer
MOMENT = re.compile(rb'"moment":"[^"]*",?')


class World:
    """The answers that one run gets."""

    def __init__(self, url, run, probes, sessions, keys):
        self.pinrail, self.run = Pinrail(url), run
        self.questions = {f"search {number}": probe for number, probe in enumerate(probes)}
        self.sessions, self.keys = sessions, keys

    def picture(self, **by):
        """All answers, by what was asked."""
        by = by or {"run": self.run}
        seen = {what: self.pinrail.search(probe, top=TOP, exact=True, **by) for what, probe in self.questions.items()}
        seen |= {f"memory {session}": self.pinrail.memory(session, **by) for session in self.sessions}
        seen |= {f"context {key}": self.told(key, by) for key in self.keys}
        return {what: MOMENT.sub(b"", reply if isinstance(reply, bytes) else reply.content) for what, reply in seen.items()}

    def told(self, key, by):
        try:
            return self.pinrail.told(key, **by)
        except Refused as refused:
            return refused.code.encode()  # a key that is gone is an answer too


class Watch:
    """Asks in a loop, in a thread of its own, and keeps what was different from the first picture."""

    def __init__(self, world, first):
        self.world, self.first = world, first
        self.rounds, self.answers, self.different, self.failure = 0, 0, {}, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def loop(self):
        try:
            while not self.over.is_set():
                now = self.world.picture()
                self.different |= {what: now[what] for what in different(self.first, now)}
                self.rounds, self.answers = self.rounds + 1, self.answers + len(now)
        except Exception as failure:  # told by the thread that waits for this one
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *failure):
        self.over.set()
        self.thread.join()
        if self.failure and not any(failure):
            raise self.failure


def different(before, after):
    """What was answered differently."""
    return sorted(what for what in before if before[what] != after[what])
