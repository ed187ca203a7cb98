"""Measurements as ratios from one run, the two sides taking turns: machines are noisy."""
