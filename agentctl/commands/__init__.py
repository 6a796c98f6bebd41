"""One file per command group: parse, call a verb, render."""
