"""Dictionary feature transfer from DFDNet's formulas: a loop over everything.

Written on its own, for one sample and one component at a time, with the whole
dictionary restyled before it is matched, as the paper states it.
"""

import torch.nn.functional as F


def statistics(feature, unbiased):
    count = feature.shape[-1] * feature.shape[-2]
    mean = feature.sum(dim=(-2, -1), keepdim=True) / count
    divisor = count - 1 if unbiased else count
    squares = ((feature - mean)**2).sum(dim=(-2, -1), keepdim=True)
    return mean, (squares / divisor + 1e-5).sqrt()


def adain(atoms, feature, unbiased):
    atom_mean, atom_std = statistics(atoms, unbiased)
    mean, std = statistics(feature, unbiased)
    return (atoms - atom_mean) / atom_std * std + mean


def transfer(feature, boxes, stride, atoms_of, sides, confidence_of, unbiased=False):
    """One level.

    Args: feature (B, C, H, W); boxes (B, 4, 4); raw atoms (K, C, s, s), sides and
    plain confidence callables, one a component.

    Returns: the changed map, and the chosen atoms as a list of rows.
    """
    size = feature.shape[-1]
    result, chosen = feature.clone(), []
    for sample in range(len(feature)):
        row = []
        for order in range(4):
            x1, y1, x2, y2 = [int(v // stride) for v in boxes[sample, order].tolist()]
            x1, y1 = min(max(x1, 0), size - 1), min(max(y1, 0), size - 1)
            x2, y2 = max(min(x2, size), x1 + 1), max(min(y2, size), y1 + 1)
            crop = feature[sample:sample + 1, :, y1:y2, x1:x2]
            small = F.interpolate(crop, (sides[order], sides[order]), mode='bilinear',
                                  align_corners=False)
            restyled = adain(atoms_of[order], small, unbiased)
            best = int((restyled * small).flatten(1).sum(dim=1).argmax())
            row.append(best)
            atom = F.interpolate(restyled[best:best + 1], crop.shape[-2:],
                                 mode='nearest')
            changed = crop + confidence_of[order](atom - crop) * atom
            result[sample:sample + 1, :, y1:y2, x1:x2] = changed
        chosen.append(row)
    return result, chosen
