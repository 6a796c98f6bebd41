"""The only printer: results, events and errors, for a terminal, a pipe or a program."""
