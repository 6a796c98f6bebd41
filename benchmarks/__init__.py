"""What README's figures come from: `python -m benchmarks`. Run by hand, never in tests."""
