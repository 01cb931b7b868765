#!/usr/bin/env bash
# Our codecs and vocoders against those that their authors published, in an environment of its own; words are passed on
# to pytest.
#   bash tools/test_codecs.sh [-k encodec ...]
set -euo pipefail
trap 'echo "tools/test_codecs.sh: line $LINENO failed" >&2' ERR

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
bash "$root/tools/setup_codecs.sh"
source "$root/tools/activate.sh"
export HF_HUB_OFFLINE=1 # nothing here needs the network
cd -- "$root"
exec "$root/.venv-codecs/bin/python" -m pytest tests/codecs "$@"
