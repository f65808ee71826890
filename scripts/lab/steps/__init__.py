"""The steps of scripts/lab: one idea a file, each step skipped when done."""
