# Sourced by the scripts, with `root` set to the checkout: its environment first on the path, its code importable,
# and idle threads asleep instead of spinning (on two shared cores that is up to a hundred times faster).
export PATH="$root/.venv/bin:$PATH"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0
