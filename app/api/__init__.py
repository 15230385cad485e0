"""HTTP on one side, `app.storage.base` on the other."""
