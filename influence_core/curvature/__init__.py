"""What is inverted: symmetric operators that include the regulariser and are never damped."""
