"""How candidates are measured: timed in turns, set against a floor, kept as a record; knows no workload."""
