"""How much the service bears: real API processes, a real broker and database, and callers who do not wait politely."""
