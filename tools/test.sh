#!/usr/bin/env bash
# The tests, in the checkout's own environment; words are passed on to pytest.
#   bash tools/test.sh [tests/core -k masking ...]
set -euo pipefail
trap 'echo "tools/test.sh: line $LINENO failed" >&2' ERR

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
bash "$root/tools/setup_env.sh"
bash "$root/tools/setup_browser.sh" # what the tests of the demo drive; without it they are skipped, and say so
source "$root/tools/activate.sh"
cd -- "$root"
exec python -m pytest "$@"
