#!/usr/bin/env bash
# The tests that need an overlay (tools/setup_overlay.sh), in it; words are passed on to pytest.
#   bash tools/test_overlay.sh codecs [-k encodec ...]     our codecs, vocoders, figures and watermark against other projects' own
#   bash tools/test_overlay.sh cluster                     the server over two processes, by Ray Serve
set -euo pipefail
trap 'echo "tools/test_overlay.sh: line $LINENO failed" >&2' ERR

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
name="${1:?codecs or cluster}"
shift
bash "$root/tools/setup_overlay.sh" "$name"
source "$root/tools/activate.sh"
export HF_HUB_OFFLINE=1 # nothing here needs the network
cd -- "$root"
exec "$root/.venv-$name/bin/python" -m pytest "tests/$name" "$@"
