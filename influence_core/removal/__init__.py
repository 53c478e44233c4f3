"""What removing training examples does, predicted and refitted."""
