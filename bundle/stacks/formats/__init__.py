"""One file format a module, its reading, its writing and its guards."""
