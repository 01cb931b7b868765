"""Audio files: what comes in is checked, what goes out is whole."""
