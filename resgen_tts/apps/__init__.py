"""Command line, training, synthesis, scoring."""
