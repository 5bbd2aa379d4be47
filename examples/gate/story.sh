#!/usr/bin/env bash
# Plays the whole story: two candidates, of which one is worse, through the gate.
#
#   ./story.sh                          with the `pinrail` on the PATH
#   PINRAIL=path/to/pinrail ./story.sh  with that one
#   ./story.sh --report FILE            keeps the worse candidate's whole report
#   ./story.sh --wheels FOLDER          keeps the packages for the next time
set -euo pipefail
pinrail="${PINRAIL:-$(command -v pinrail || true)}"
[ -x "$pinrail" ] || { echo "no pinrail binary: put one on the PATH, or name it in PINRAIL" >&2; exit 2; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$(dirname "$0")/story.py" --pinrail "$pinrail" "$@"
