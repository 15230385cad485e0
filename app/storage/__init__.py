"""Where artifacts are kept: one contract (`base`), several backends (`registry` knows them)."""
