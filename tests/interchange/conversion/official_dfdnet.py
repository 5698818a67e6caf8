"""DFDNet's release with few atoms, and what it computes, written plainly.

The shapes are the release's own, of which there is one; the computation is a list of
functional calls on its keys, one sample and one part after the other.
"""

import numpy as np
import torch
from torch.nn import functional as F

SHORT = {'left_eye': 'le', 'right_eye': 're', 'nose': 'no', 'mouth': 'mo'}
PART_SIDES = {'left_eye': 80, 'right_eye': 80, 'nose': 50, 'mouth': 110}
LEVELS = {256: 128, 128: 256, 64: 512, 32: 512}  # side of the map: channels
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
BINOMIAL = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
# VGG-19's convolutions by torchvision's index: inputs, outputs
VGG = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256),
       12: (256, 256), 14: (256, 256), 16: (256, 256), 19: (256, 512), 21: (512, 512),
       23: (512, 512), 25: (512, 512), 28: (512, 512), 30: (512, 512), 32: (512, 512),
       34: (512, 512)}
POOLS, PIECES = (4, 9, 18, 27), (0, 8, 17, 26, 35)
UP = {'up0': (512, 512), 'up1': (512, 256), 'up2': (256, 128), 'up3': (128, 64)}


def state(seed=0):
    """The file's content: 400 MB of random values."""
    generator = torch.Generator().manual_seed(seed)
    content = {}

    def randn(*shape, gain=1.0):
        return torch.randn(*shape, generator=generator) * gain

    def plain(name, inputs, outputs, gain=1.0):
        content[f'{name}.weight'] = randn(
            outputs, inputs, 3, 3, gain=gain * (2 / (9 * inputs))**0.5)
        content[f'{name}.bias'] = randn(outputs, gain=0.1)

    def normed(name, inputs, outputs):
        content[f'{name}.bias'] = randn(outputs, gain=0.1)
        weight = randn(outputs, inputs, 3, 3)
        content[f'{name}.weight_orig'] = weight
        u = F.normalize(randn(outputs), dim=0)
        # one iteration: sigma is what these vectors make of it, not the true one
        v = F.normalize(weight.flatten(1).T @ u, dim=0)
        content[f'{name}.weight_u'] = F.normalize(weight.flatten(1) @ v, dim=0)
        content[f'{name}.weight_v'] = v

    for part in SHORT.values():
        for side, channels in LEVELS.items():
            normed(f'{part}_{side}.0', channels, channels)
            normed(f'{part}_{side}.2', channels, channels)
    content['VggExtract.RGB_mean'], content['VggExtract.RGB_std'] = MEAN, STD
    for index, (inputs, outputs) in VGG.items():
        plain(f'VggExtract.model.features.{index}', inputs, outputs)
        piece = sum(index >= end for end in PIECES[1:])
        for kind in ('weight', 'bias'):
            content[f'VggExtract.features.{piece}.{index}.{kind}'] = content[
                f'VggExtract.model.features.{index}.{kind}']
    for branch in (1, 2, 3, 4):
        normed(f'MSDilate.conv{branch}.0', 512, 512)
        normed(f'MSDilate.conv{branch}.2', 512, 512)
    normed('MSDilate.convi', 2048, 512)
    for stage, (inputs, outputs) in UP.items():
        for kind in ('weight', 'weight_flip'):
            content[f'{stage}.conv1.0.{kind}'] = BINOMIAL.expand(inputs, 1, 3, 3)
        normed(f'{stage}.conv1.1', inputs, outputs)
        normed(f'{stage}.convup.1', outputs, outputs)
        for model in ('ScaleModel1', 'ShiftModel1'):
            normed(f'{stage}.{model}.0', inputs, outputs)
            normed(f'{stage}.{model}.2', outputs, outputs)
    normed('up4.0', 64, 64)
    for block in (2, 3):
        plain(f'up4.{block}.Model.0', 64, 64)
        plain(f'up4.{block}.Model.2', 64, 64, gain=0.3)
    plain('up4.4', 64, 3, gain=0.3)
    for stage, channels in enumerate((512, 256, 128, 64)):
        normed(f'to_rgb{stage}.0', channels, channels)
        normed(f'to_rgb{stage}.2', channels, 3)
    content['VggExtract.model.classifier.6.bias'] = torch.zeros(1000)
    return content


def write_dictionary(folder, atoms=5, flat=True, seed=1):
    """The sixteen files, and what is in them: {part: {side of the map: atoms}}."""
    rng = np.random.default_rng(seed)
    written = {}
    for part, part_side in PART_SIDES.items():
        for side, channels in LEVELS.items():
            s = part_side // (512 // side)
            values = rng.normal(size=(atoms, channels, s, s)).astype(np.float32) + 0.3
            written.setdefault(part, {})[side] = torch.from_numpy(values)
            np.save(folder / f'{part}_{side}_center.npy',
                    values.reshape(atoms, -1) if flat else values)
    return written


def restore(content, dictionary, image, boxes):
    """(1, 3, 512, 512) in [-1, 1] and {part: x1, y1, x2, y2} to the same range."""
    def conv(name, x, dilation=1):
        if f'{name}.weight_orig' in content:
            weight = content[f'{name}.weight_orig']
            u, v = content[f'{name}.weight_u'], content[f'{name}.weight_v']
            weight = weight / (u @ (weight.flatten(1) @ v))
        else:
            weight = content[f'{name}.weight']
        return F.conv2d(x, weight, content[f'{name}.bias'], padding=dilation,
                        dilation=dilation)

    def pair(name, x, dilation=1):
        return conv(f'{name}.2', F.leaky_relu(conv(f'{name}.0', x, dilation), 0.2),
                    dilation)

    maps, x = [], ((image + 1) / 2 - MEAN) / STD
    for index in range(35):
        if index in VGG:
            x = conv(f'VggExtract.model.features.{index}', x)
            if index in (7, 16, 25):
                maps.append(F.relu(x))
        else:
            x = F.max_pool2d(x, 2) if index in POOLS else F.relu(x)
    maps.append(x)

    updated = []
    for side, feature in zip(LEVELS, maps):
        new = feature.clone()
        for part, box in boxes.items():
            x1, y1, x2, y2 = (int(value // (512 / side)) for value in box)
            crop = feature[:, :, y1:y2, x1:x2]
            atoms = dictionary[part][side]
            small = F.interpolate(crop, atoms.shape[-2:], mode='bilinear',
                                  align_corners=False)
            restyled = adain(atoms, small)
            best = (small * restyled).sum(dim=(1, 2, 3)).argmax()
            atom = F.interpolate(restyled[best:best + 1], crop.shape[-2:])
            confidence = pair(f'{SHORT[part]}_{side}', atom - crop)
            new[:, :, y1:y2, x1:x2] = crop + confidence * atom
        updated.append(new)

    x = maps[-1]
    branches = [pair(f'MSDilate.conv{i + 1}', x, 4 - i) for i in range(4)]
    x = conv('MSDilate.convi', torch.cat(branches, 1)) + x
    for stage, style in zip(UP, reversed(updated)):
        kernel = content[f'{stage}.conv1.0.weight']
        x = conv(f'{stage}.conv1.1', F.conv2d(x, kernel, padding=1, groups=x.shape[1]))
        x = F.leaky_relu(F.leaky_relu(x, 0.2), 0.2)
        shift = torch.sigmoid(pair(f'{stage}.ShiftModel1', style))
        x = x * pair(f'{stage}.ScaleModel1', style) + shift
        x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
        x = F.leaky_relu(conv(f'{stage}.convup.1', x), 0.2)
    x = F.leaky_relu(conv('up4.0', x), 0.2)
    for block in (2, 3):
        x = x + pair(f'up4.{block}.Model', x)
    return torch.tanh(conv('up4.4', x))


def adain(atoms, feature):
    """Atoms with the feature's mean and deviation in each channel."""
    def statistics(x):
        flat = x.flatten(2)
        return flat.mean(2)[..., None, None], (
            flat.var(2) + 1e-5).sqrt()[..., None, None]

    mean, deviation = statistics(atoms)
    to_mean, to_deviation = statistics(feature)
    return (atoms - mean) / deviation * to_deviation + to_mean
