#!/usr/bin/env bash
# Puts a candidate through the gate that is as good as its incumbent, with twenty seeds, and counts the verdicts.
#
#   ./equal.sh                          with the `pinrail` on the PATH
#   PINRAIL=path/to/pinrail ./equal.sh  with that one
#   ./equal.sh 5                     with five seeds
#   ./equal.sh --wheels FOLDER          keeps the packages for the next time
set -euo pipefail
pinrail="${PINRAIL:-$(command -v pinrail || true)}"
[ -x "$pinrail" ] || { echo "no pinrail binary: put one on the PATH, or name it in PINRAIL" >&2; exit 2; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$(dirname "$0")/equal.py" --pinrail "$pinrail" "$@"
