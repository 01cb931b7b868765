"""Errors, randomness, lengths and run folders: what every layer may use."""
