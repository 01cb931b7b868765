"""One text front end for every door."""
