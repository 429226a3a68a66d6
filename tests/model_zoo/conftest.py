"""What pytest passes over here."""

collect_ignore_glob = ["*_dist.py"]  # they import the Model Zoo's utils
