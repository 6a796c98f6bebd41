"""Where code that a model wrote runs: bubblewrap, limits, and a Python that calls back."""
