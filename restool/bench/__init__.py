"""Measured cost: candidates timed in turns beside each other, checked against float64, and set against a floor."""
