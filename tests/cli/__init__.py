"""The command: its help, its exit codes, and what it says when something is wrong."""
