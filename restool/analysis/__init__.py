"""What a kernel or a model does, computed for the report to draw."""
