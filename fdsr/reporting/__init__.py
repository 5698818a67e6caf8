"""Tables, confidence intervals, image grids and figures."""
