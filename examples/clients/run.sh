#!/usr/bin/env bash
# Runs real clients through Pinrail, each on a release of its own vendor and of the other, and prints what works.
#
#   ./run.sh                               all clients
#   ./run.sh --only python-openai,vercel   those whose name begins so
#   ./run.sh --direct                      past Pinrail, on the simulated provider itself
#   ./run.sh --write                       puts the table into docs/clients.md, too
#   PINRAIL=path/to/pinrail ./run.sh       with that binary
set -euo pipefail
pinrail="${PINRAIL:-$(command -v pinrail || true)}"
[ -x "$pinrail" ] || { echo "no pinrail binary: put one on the PATH, or name it in PINRAIL" >&2; exit 2; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$(dirname "$0")/run.py" --pinrail "$pinrail" "$@"
