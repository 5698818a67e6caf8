"""Renders the out-of-focus background."""

import cv2
import numpy as np

from fdsr.synthetic.canvas import mix, scaled
from fdsr.synthetic.traits import Face

STREAM = 80
# A background is blurred, so it is rendered at one small size and enlarged.
SIDE = 128


def background(face: Face, side: int) -> np.ndarray:
    """Returns the background, uint8 ``(side, side, 3)`` RGB."""
    rng, photo = face.rng(STREAM), face.photo
    image = _gradient(photo.colours[0], photo.colours[1], rng.uniform(-1, 1))
    blur = rng.uniform(0.8, 3.0)
    painter = _PAINTERS.get(photo.background)
    if painter is not None:
        painter(image, photo.colours, rng)
        image = cv2.GaussianBlur(image, (0, 0), blur)
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)


def _gradient(first: tuple, second: tuple, lean: float) -> np.ndarray:
    grid = np.linspace(0, 1, SIDE, dtype=np.float32)
    share = np.clip(0.5 * (grid[:, None] + lean * grid[None, :]) + 0.1, 0, 1)[..., None]
    first, second = np.float32(first), np.float32(second)
    blend = first + (second - first) * share
    return np.rint(blend).astype(np.uint8)


def _bokeh(image: np.ndarray, colours: tuple, rng: np.random.Generator) -> None:
    for x, y, radius, light in rng.uniform((0, 0, 4, 0.2), (SIDE, SIDE, 14, 0.7),
                                           (22, 4)):
        spot = image.copy()
        cv2.circle(spot, (int(x), int(y)), int(radius),
                   mix(colours[2], (255, 250, 230), light), -1, cv2.LINE_AA)
        cv2.addWeighted(spot, 0.6, image, 0.4, 0, dst=image)


def _leaves(image: np.ndarray, colours: tuple, rng: np.random.Generator) -> None:
    green = mix(colours[0], (70, 120, 60), 0.7)
    places = rng.uniform((0, 0, 3, 0), (SIDE, SIDE, 10, 180), (170, 4))
    for (x, y, size, angle), gain in zip(places, rng.uniform(0.4, 1.5, 170)):
        cv2.ellipse(image, (int(x), int(y)), (int(size), int(size / 3) + 1), angle, 0,
                    360, scaled(green, gain), -1)


def _stripes(image: np.ndarray, colours: tuple, rng: np.random.Generator) -> None:
    step = int(rng.integers(8, 24))
    for x in range(0, SIDE, step):
        cv2.rectangle(image, (x, 0), (x + step // 2, SIDE), colours[2], -1)


def _bricks(image: np.ndarray, colours: tuple, rng: np.random.Generator) -> None:
    wall = mix(colours[0], (150, 84, 66), 0.5)
    height = int(rng.integers(9, 16))
    for row, y in enumerate(range(0, SIDE, height)):
        for x in range(-height * (row % 2), SIDE, 2 * height):
            brick = scaled(wall, rng.uniform(0.75, 1.2))
            cv2.rectangle(image, (x, y), (x + 2 * height - 3, y + height - 3), brick,
                          -1)


def _shelf(image: np.ndarray, colours: tuple, rng: np.random.Generator) -> None:
    for y in range(0, SIDE, 42):
        x = 0
        while x < SIDE:
            width = int(rng.integers(4, 11))
            book = mix(colours[int(rng.integers(3))], tuple(rng.uniform(30, 230, 3)),
                       0.6)
            cv2.rectangle(image, (x, y + int(rng.integers(3, 14))),
                          (x + width - 1, y + 37), book, -1)
            x += width
        cv2.rectangle(image, (0, y + 38), (SIDE, y + 42), (82, 60, 44), -1)


def _window(image: np.ndarray, colours: tuple, rng: np.random.Generator) -> None:
    x, y = int(rng.integers(-30, 80)), int(rng.integers(-30, 40))
    cv2.rectangle(image, (x, y), (x + 56, y + 70),
                  mix(colours[2], (235, 244, 255), 0.8), -1)
    frame = scaled(colours[0], 0.55)
    cv2.rectangle(image, (x, y), (x + 56, y + 70), frame, 4)
    cv2.line(image, (x + 28, y), (x + 28, y + 70), frame, 3)
    cv2.line(image, (x, y + 30), (x + 56, y + 30), frame, 3)


_PAINTERS = {'bokeh': _bokeh, 'leaves': _leaves, 'stripes': _stripes, 'bricks': _bricks,
             'shelf': _shelf, 'window': _window}
