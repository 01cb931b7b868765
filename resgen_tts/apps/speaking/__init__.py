"""The doors that speak: the Python class, the verbs synth and voice, and what transcribes a reference."""
