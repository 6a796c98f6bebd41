"""Turning text into vectors: one protocol, and the engines behind it."""
