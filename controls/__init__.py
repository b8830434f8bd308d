"""Catalogs, requirements, profiles, the coverage evaluator and the gate: pure, over records."""
