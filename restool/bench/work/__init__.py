"""What is measured: a layer, a training step, evaluation, the input pipeline, and the truth each is checked against."""
