"""Evidence: signing, the append-only ledger, artifacts, git links, and their verification."""
