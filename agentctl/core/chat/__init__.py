"""Answering: what is sent to a model, what comes back, and how it is remembered."""
