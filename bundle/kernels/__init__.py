"""What makes convolutions quick: merging in the backward pass, folding and blocks; the network works without."""
