"""Side-by-side load runs: this gateway, wechatpy on two frameworks, and Granian's ceiling."""
