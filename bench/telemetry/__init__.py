"""What it costs to be seen: callbacks with metrics, traces and onlookers, against none of them."""
