"""Version 1: entries, subjects, tiles and checkpoints; here the numbers begin."""

revision = "1"
down_revision = None
