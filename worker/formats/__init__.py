"""From an upload's bytes to something safe to work with, or a refusal that says what to do. Runs in a child process."""
