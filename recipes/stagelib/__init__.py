"""The stage runner that every recipe shares: order, markers, fingerprints, logs. Python verbs do the work."""
