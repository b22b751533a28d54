"""One file per technology: what keeps and carries messages outside this process."""
