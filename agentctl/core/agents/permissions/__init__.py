"""What agents may do: rules, the files they stand in, and the decision about one tool call."""
