"""How work spreads over workers: measured chunks, replayed through the real claims, rows and stop rule."""
