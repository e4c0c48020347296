"""The truth: tables, the session that writes them, and a module of functions for each noun. Knows no queue."""
