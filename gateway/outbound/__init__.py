"""The sending side: WeChat's API, its tokens, and what is pushed through it."""
