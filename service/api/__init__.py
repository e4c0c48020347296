"""HTTP: a router a noun. Handlers are thin; what they know is status codes, headers and the order of things."""
