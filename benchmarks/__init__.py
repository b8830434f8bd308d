"""What Muniment costs, as ratios against floors measured in the same run.

``python -m benchmarks [SUBJECT…]`` from the repository's root.
"""
