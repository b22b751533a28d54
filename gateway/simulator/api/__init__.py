"""WeChat's API on the desk: its endpoints with their rules, faults on demand, and a ledger."""
