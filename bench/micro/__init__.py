"""The kernels and the whole pure path, timed alone: compiled, in pure Python, and in wechatpy."""
