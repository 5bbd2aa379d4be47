"""The corpus: Django's documentation, as the package index has it in Django's source distribution, split into passages.

Nothing of it is in this repository: pip fetches it. A passage is a part of one section, small enough to be embedded whole.

    python corpus.py            how many passages there are, and the first of them
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

DJANGO = "5.2.8"
CACHE = Path(tempfile.gettempdir()) / "pinrail-retrieval-agent"
PASSAGE_CHARS = 900  # about 200 tokens: what the model reads of a text
PASSAGE_CHARS_MIN = 120  # headings without text tell nothing
FOLDERS = ("faq/", "howto/", "intro/", "topics/")  # the guides; the reference is as much again

UNDERLINE = re.compile(r"^([=\-~`^\"'#*+.])\1{2,}$")
CONTENTS = re.compile(r"^\.\. (toctree|contents|index)::.*\n(?:(?:[ \t].*)?\n)*", re.MULTILINE)
DIRECTIVE = re.compile(r"^\.\. (_[^:]*:|[\w:-]+::).*$|^ +:[\w-]+:.*$", re.MULTILINE)
ROLE = re.compile(r":[\w:+.-]+:`~?([^`<]*?)(?:\s*<[^>]*>)?`")


@dataclass(frozen=True)
class Passage:
    """Some hundred characters of the documentation, under a key that names the place."""

    key: str
    page: str
    section: str
    text: str

    def whole(self):
        """What is embedded: the passage under its heading."""
        return f"{self.section}\n{self.text}"


def passages():
    """All passages, in the order of the pages' names: the same source gives the same list."""
    found = []
    with tarfile.open(source()) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            page = member.name.partition("/docs/")[2]
            if page.startswith(FOLDERS) and page.endswith(".txt"):
                text = archive.extractfile(member).read().decode("utf-8")
                found += of_page(page.removesuffix(".txt"), text)
    return found


def source():
    """Django's source distribution, fetched with pip unless it is there already. Nothing in it is run."""
    archive = CACHE / f"django-{DJANGO}.tar.gz"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-binary=django", "--dest", str(CACHE), f"django=={DJANGO}"]
        subprocess.run(command, check=True)
    return archive


def of_page(page, text):
    found, counts = [], Counter()
    for section, body in sections(text):
        for part in parts(plain(body)):
            if len(part) >= PASSAGE_CHARS_MIN:
                place = f"{page}#{slug(section)}"
                found.append(Passage(f"{place}/{counts[place]}", page, section, part))
                counts[place] += 1
    return found


def sections(text):
    """(heading, body) for each section of a reStructuredText page."""
    heading, body, lines = "", [], text.splitlines()
    for at, line in enumerate(lines):
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if line.strip() and UNDERLINE.match(following) and len(following) >= len(line.rstrip()):
            yield heading, "\n".join(body)
            heading, body = plain(line), []
        elif not UNDERLINE.match(line):
            body.append(line)
    yield heading, "\n".join(body)


def plain(text):
    """The text without the marks that only a typesetter reads."""
    text = DIRECTIVE.sub("", CONTENTS.sub("", text))
    text = ROLE.sub(r"\1", text).replace("``", "`")
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def parts(body):
    """Whole paragraphs together, up to the length of a passage; one that is longer is cut."""
    part = ""
    for paragraph in body.split("\n\n"):
        paragraph = textwrap.dedent(paragraph).strip()
        if part and len(part) + len(paragraph) > PASSAGE_CHARS:
            yield part
            part = ""
        part = f"{part}\n\n{paragraph}".strip()
        while len(part) > PASSAGE_CHARS:
            yield part[:PASSAGE_CHARS]
            part = part[PASSAGE_CHARS:].strip()
    if part:
        yield part


def slug(section):
    return re.sub(r"[^a-z0-9]+", "-", section.lower()).strip("-")[:60] or "top"


if __name__ == "__main__":
    all_of_them = passages()
    print(f"{len(all_of_them)} passages of {len({passage.page for passage in all_of_them})} pages")
    for passage in all_of_them[:3]:
        print(f"\n{passage.key}\n{passage.text}")
