"""The web page of `demo/app.py`: restoration, examples, layout and server."""
