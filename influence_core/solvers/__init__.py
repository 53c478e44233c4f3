"""How ``(curvature + damping I)`` is inverted; the only home of damping."""
