#!/usr/bin/env bash
# Installs what the agent needs (Python's packages into a temporary folder, npm's into the agent's node_modules) and plays the story.
# Needs PostgreSQL's server programs (Debian: postgresql-15), which it runs in a temporary folder.
#
#   ./story.sh                          with the `pinrail` on the PATH
#   PINRAIL=path/to/pinrail ./story.sh  with that one
set -euo pipefail
pinrail="${PINRAIL:-$(command -v pinrail || true)}"
[ -x "$pinrail" ] || { echo "no pinrail binary: put one on the PATH, or name it in PINRAIL" >&2; exit 2; }
pinrail="$(cd "$(dirname "$pinrail")" && pwd)/$(basename "$pinrail")"
cd "$(dirname "$0")"

venv="$(mktemp -d)"
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r ../files-agent/requirements.txt
(cd ../files-agent && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" story.py --pinrail "$pinrail"
