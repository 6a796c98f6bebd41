"""The tools that agents may call, one file for each kind."""
