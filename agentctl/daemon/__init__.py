"""The host of all that, and the Workspace over HTTP."""
