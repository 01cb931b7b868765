"""The page in the browser: a voice from a recording, a text, and what is spoken."""
