#!/usr/bin/env bash
# The corpus and the model in the box: 7.85 hours of made speech (13.1 with the real speech of conf/with_real.yaml), an
# open vocabulary, hundreds of speakers.
#   bash egs/studio/run.sh [--data DIR --config FILE] [--smoke] [--stage N] [--list-stages] [--help] ...
set -euo pipefail
trap 'echo "egs/studio/run.sh: line $LINENO failed" >&2' ERR

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd -- "$here/../.." && pwd)"

bash "$root/tools/setup_env.sh"
exec bash "$root/recipes/tts.sh" --recipe "$here" --corpus studio "$@"
