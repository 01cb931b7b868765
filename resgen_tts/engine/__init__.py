"""Training: one loop for tokenizer, vocoder, aligner and generator; it trains whatever meets the Task protocol."""
