"""What the documents say and show is true."""
