"""Where a wave comes from: the watermark that is in it, and the facts that are written beside it."""
