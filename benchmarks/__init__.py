"""Benchmarks. Most figures are ratios of alternating runs, since machines are noisy."""
