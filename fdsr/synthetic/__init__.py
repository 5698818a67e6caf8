"""Renderer of synthetic faces: traits are sampled, then painted as vector shapes.

``traits`` and ``sampling`` define the person and the photograph, ``view`` the pose.
``canvas``, ``curves`` and ``lighting`` are the tools. Each of the other modules paints
one region of the head; ``portrait`` combines them. The package depends on neither
datasets nor torch.

Coordinates are in *face units*: the origin is the midpoint between the pupils of a
frontal head, x points to the right of the image, y down, z towards the viewer, and the
distance between the pupils is 1.
"""
