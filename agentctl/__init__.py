"""agentctl: a private AI workbench for the terminal."""

__version__ = "0.1.0"
