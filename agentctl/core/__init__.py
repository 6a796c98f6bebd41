"""What agentctl does, without a word about how it is shown."""
