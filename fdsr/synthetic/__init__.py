"""How the drawn faces are made: traits are sampled, then painted as vector shapes.

``traits`` and ``sampling`` decide who is drawn, ``view`` how the head is held,
``canvas``, ``curves`` and ``lighting`` are the tools, the other modules paint one part
of the head each, and ``portrait`` puts them together. Nothing here knows of data sets
or torch.

Everything is written in *face units*: the origin lies between the pupils of a head
looking straight ahead, x grows to the right of the picture, y downwards, z towards
the viewer, and the pupils are one unit apart.
"""
