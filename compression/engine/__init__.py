"""The engine: what a changed weight does to a network's answers, found with far less work than asking the whole network again."""
