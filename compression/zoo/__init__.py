"""The networks and data that ship with the project, and the scripts that make them."""
