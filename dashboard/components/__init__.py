"""Draw-only functions: they get plain values and draw them."""
