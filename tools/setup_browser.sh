#!/usr/bin/env bash
# A browser for the tests of the demo: Debian's and Ubuntu's Chromium by apt, where root runs this and there is none yet.
# Says nothing where one is there. Where none can be had, it says so and ends well: the tests that need it are skipped,
# and say why.
#
#   bash tools/setup_browser.sh
set -euo pipefail

log="$(mktemp)"
trap 'echo "setup_browser: line $LINENO failed; log: $log" >&2' ERR

say() { echo "setup_browser: $*" >&2; }

found() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if command -v -- "$name" >/dev/null; then return 0; fi
  done
  return 1
}

apt_install() { # the index is only refreshed when it does not know the package
  local options=(-y --no-install-recommends -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120)
  export DEBIAN_FRONTEND=noninteractive
  apt-get install "${options[@]}" -- chromium </dev/null >>"$log" 2>&1 && return
  apt-get update -o Acquire::Retries=1 -o Acquire::http::Timeout=20 </dev/null >>"$log" 2>&1 || true
  apt-get install "${options[@]}" -- chromium </dev/null >>"$log" 2>&1
}

case "${1:-}" in
  "") ;;
  -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) say "unknown option: $1 (see --help)"; exit 2 ;;
esac
if found; then
  rm -f -- "$log"
  exit 0
fi
if [[ -z "${RESGEN_TTS_NO_APT:-}" && "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
  say "installing chromium with apt, for the tests of the demo (some 300 MB)"
  if apt_install && found; then
    rm -f -- "$log"
    exit 0
  fi
  say "apt could not install it (log: $log)."
fi
say "there is no Chromium: the tests that drive the demo in a browser are skipped. To have it: apt-get install chromium"
