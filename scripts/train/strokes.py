"""Digits drawn with a pen here, so that a model meets strokes that are no scan: 28x28, white on black.

Each digit has a few skeletons: control points in a unit square, x to the right and y down, joined by a Catmull-Rom curve; the pen
lifts at None. Points are moved a little, then the whole is turned, sheared and scaled; the pen's width is drawn as well.
"""
import numpy as np

SKELETONS = {
    0: [[(.5, .05), (.15, .3), (.15, .7), (.5, .95), (.85, .7), (.85, .3), (.5, .05)],
        [(.6, .05), (.25, .35), (.3, .85), (.6, .92), (.8, .5), (.62, .06)]],
    1: [[(.5, .05), (.5, .5), (.5, .95)], [(.3, .25), (.52, .05), (.52, .5), (.52, .95)],
        [(.3, .25), (.52, .05), (.52, .5), (.52, .95), None, (.25, .95), (.5, .95), (.78, .95)]],
    2: [[(.18, .3), (.4, .06), (.75, .15), (.72, .45), (.4, .75), (.15, .95), (.5, .95), (.88, .95)],
        [(.2, .25), (.5, .05), (.8, .28), (.5, .65), (.2, .9), (.3, .8), (.55, .92), (.88, .9)]],
    3: [[(.2, .12), (.55, .05), (.78, .25), (.45, .47), (.8, .65), (.6, .93), (.18, .88)],
        [(.2, .06), (.5, .06), (.8, .06), None, (.8, .06), (.62, .25), (.45, .42), None, (.45, .42), (.8, .55), (.75, .85), (.45, .97), (.18, .85)]],
    4: [[(.6, .05), (.38, .35), (.12, .65), None, (.12, .65), (.5, .65), (.9, .65), None, (.65, .35), (.65, .65), (.65, .97)],
        [(.2, .05), (.18, .3), (.2, .5), None, (.2, .5), (.5, .52), (.8, .48), None, (.8, .05), (.79, .5), (.78, .97)]],
    5: [[(.8, .06), (.5, .06), (.25, .06), None, (.25, .06), (.22, .25), (.2, .45), None, (.2, .45), (.55, .38), (.82, .62), (.65, .9), (.2, .92)]],
    6: [[(.7, .05), (.35, .3), (.18, .65), (.4, .94), (.75, .85), (.75, .6), (.45, .52), (.2, .7)],
        [(.55, .05), (.3, .4), (.25, .75), (.5, .95), (.75, .75), (.55, .55), (.27, .7)]],
    7: [[(.15, .08), (.5, .08), (.85, .08), None, (.85, .08), (.6, .5), (.42, .96)],
        [(.15, .08), (.5, .08), (.85, .08), None, (.85, .08), (.6, .5), (.42, .96), None, (.35, .5), (.55, .5), (.78, .5)]],
    8: [[(.5, .48), (.2, .28), (.5, .05), (.8, .28), (.5, .48), (.18, .72), (.5, .96), (.82, .72), (.5, .48)],
        [(.75, .15), (.45, .05), (.28, .28), (.6, .55), (.75, .8), (.45, .96), (.25, .75), (.55, .45), (.76, .18)]],
    9: [[(.78, .3), (.5, .05), (.22, .25), (.4, .5), (.72, .42), (.78, .2), None, (.78, .2), (.76, .6), (.7, .96)],
        [(.78, .15), (.45, .06), (.24, .3), (.5, .48), (.78, .2), None, (.78, .2), (.72, .65), (.5, .93), (.25, .88)]],
}
SAMPLES = 16  # points of the curve between two control points


def curve(points: np.ndarray) -> np.ndarray:
    """[K,2] -> [(K-1) SAMPLES,2]: Catmull-Rom through the points."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, SAMPLES)[None, :, None]
    a, b, c, d = (p[i:len(p) - 3 + i, None] for i in range(4))
    return (0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t ** 2 + (3 * b - a - 3 * c + d) * t ** 3)).reshape(-1, 2)


def skeleton(digit: int, random: np.random.Generator) -> np.ndarray:
    """[P,2] points in pixels of a 28x28 picture."""
    chosen = SKELETONS[digit][random.integers(len(SKELETONS[digit]))]
    # A point that two strokes share moves with both.
    moved = {point: np.array(point) + random.normal(0, 0.035, 2) for point in {p for p in chosen if p}}
    strokes, part = [], []
    for point in [*chosen, None]:
        if point is None:
            strokes.append(curve(np.array(part)))
            part = []
        else:
            part.append(moved[point])
    xy = np.concatenate(strokes) - 0.5
    turn, shear = random.normal(0, 0.12), random.normal(0, 0.12)
    size = np.array([random.uniform(9, 17), random.uniform(15, 22)])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (xy * size) @ np.array([[1, 0], [shear, 1]]) @ rotation.T + 13.5 + random.normal(0, 1, 2)


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N,28,28] and labels [N], the ten digits in turn."""
    random = np.random.default_rng(seed)
    at = np.arange(28)[:, None]
    images = np.empty((count, 28, 28), np.uint8)
    for i in range(count):
        points = skeleton(i % 10, random)
        across, down = (at - points[:, 0]) ** 2, (at - points[:, 1]) ** 2  # [28,P] each
        distance = np.sqrt((down[:, None] + across).min(-1))
        images[i] = np.clip((random.uniform(0.9, 2.2) + 0.5 - distance), 0, 1) * 255
    return images, np.arange(count) % 10
