"""One page of HTML that shows a training run or a benchmark: tables, curves, and a player of episodes."""
