"""A WeChat platform on the desk: sends callbacks signed and sealed as WeChat does."""
