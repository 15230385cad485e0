"""Who is asking, and what they may do. Nothing here knows of HTTP frameworks or of storage."""
