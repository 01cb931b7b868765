"""The HTTP server: the OpenAI speech contract over one model."""
