#!/usr/bin/env bash
# A speech recipe, stage by stage. Called by egs/*/run.sh with the corpus's choices; everything else is an option:
#   bash egs/mini/run.sh --help
# The stages are the table in recipes/stages.py; order, markers and logs are recipes/stagelib.
set -euo pipefail
trap 'echo "tts.sh: line $LINENO failed" >&2' ERR

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/tools/activate.sh"

# exec: a signal sent to this script is the runner's, which hands it to the stage and says where to go on.
# The caller's folder is where relative paths start from, and must not be where Python looks for recipes/.
caller="$PWD"
cd -- "$root"
exec python -m recipes.stages --cwd "$caller" "$@"
