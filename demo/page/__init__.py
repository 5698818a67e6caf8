"""The page of `demo/app.py`: restoring, examples, layout, serving."""
