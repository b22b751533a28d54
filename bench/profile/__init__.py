"""Where each microsecond of a callback goes: in a served process, and step by step."""
