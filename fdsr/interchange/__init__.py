"""Models of other programs, coming in and going out."""
