"""The server process, its connections, and the processes of several workers."""
