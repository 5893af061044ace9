"""The dynamics behind delay activity: fixed points, eigenvalues along a training, other delays, end states, lesions.

Definitions and tolerances are in docs/dynamics.md.
"""
