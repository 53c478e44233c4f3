"""The pages: one file, one ``page()``; each reads like a table of contents."""
