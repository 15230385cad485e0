"""artifact-proxy: moves artifacts between HTTP clients and an artifact store."""

__version__ = "0.1.0"
