"""agentctl: a private AI workbench for the terminal."""

__version__ = "1.0.0"
