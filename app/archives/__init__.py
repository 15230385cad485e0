"""Many artifacts as one stream of bytes. Knows neither HTTP nor storage, and does no input or output."""
