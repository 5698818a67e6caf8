"""Test images for the metrics: photographs and degraded copies."""

import numpy as np
import torch
from PIL import Image, ImageFilter
from skimage import data


def photographs(size=64):
    """Returns (N, 3, size, size) uint8 RGB."""
    images = [data.astronaut(), data.chelsea(), data.coffee()]
    small = [Image.fromarray(i).resize((size, size), Image.BICUBIC) for i in images]
    return torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in small])


def blurred(images, radius):
    """Returns Gaussian-blurred copies of (N, 3, h, w) uint8 images."""
    blur = ImageFilter.GaussianBlur(radius)
    done = [
        np.array(Image.fromarray(i.permute(1, 2, 0).numpy()).filter(blur))
        for i in images]
    return torch.from_numpy(np.stack(done)).permute(0, 3, 1, 2)


def noisy(images, sigma, seed=0):
    """Returns copies of uint8 images with Gaussian noise of `sigma` grey levels."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, sigma, images.shape)
    return torch.from_numpy(
        np.clip(np.rint(images.numpy() + noise), 0, 255).astype('u1'))
