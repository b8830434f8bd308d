"""Other people's control frameworks in and ours out: OSCAL and CISO Assistant libraries."""
