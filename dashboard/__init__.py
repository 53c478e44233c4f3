"""The dashboard: pick a prediction, see the training examples that made it."""
