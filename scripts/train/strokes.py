"""Digits drawn with a pen here, so that a model meets strokes that are no scan: 28x28, white on black.

Each digit has a few skeletons: control points in a unit square, x to the right and y down, joined by a Catmull-Rom
curve; the pen lifts at None. Points are moved a little, then the whole is turned, sheared and scaled; the pen's width
is drawn as well.
"""

import numpy as np

SKELETONS = {
    0: [
        [(0.5, 0.05), (0.15, 0.3), (0.15, 0.7), (0.5, 0.95), (0.85, 0.7), (0.85, 0.3), (0.5, 0.05)],
        [(0.6, 0.05), (0.25, 0.35), (0.3, 0.85), (0.6, 0.92), (0.8, 0.5), (0.62, 0.06)],
    ],
    1: [
        [(0.5, 0.05), (0.5, 0.5), (0.5, 0.95)],
        [(0.3, 0.25), (0.52, 0.05), (0.52, 0.5), (0.52, 0.95)],
        [(0.3, 0.25), (0.52, 0.05), (0.52, 0.5), (0.52, 0.95), None, (0.25, 0.95), (0.5, 0.95), (0.78, 0.95)],
    ],
    2: [
        [(0.18, 0.3), (0.4, 0.06), (0.75, 0.15), (0.72, 0.45), (0.4, 0.75), (0.15, 0.95), (0.5, 0.95), (0.88, 0.95)],
        [(0.2, 0.25), (0.5, 0.05), (0.8, 0.28), (0.5, 0.65), (0.2, 0.9), (0.3, 0.8), (0.55, 0.92), (0.88, 0.9)],
    ],
    3: [
        [(0.2, 0.12), (0.55, 0.05), (0.78, 0.25), (0.45, 0.47), (0.8, 0.65), (0.6, 0.93), (0.18, 0.88)],
        [
            (0.2, 0.06),
            (0.5, 0.06),
            (0.8, 0.06),
            None,
            (0.8, 0.06),
            (0.62, 0.25),
            (0.45, 0.42),
            None,
            (0.45, 0.42),
            (0.8, 0.55),
            (0.75, 0.85),
            (0.45, 0.97),
            (0.18, 0.85),
        ],
    ],
    4: [
        [
            (0.6, 0.05),
            (0.38, 0.35),
            (0.12, 0.65),
            None,
            (0.12, 0.65),
            (0.5, 0.65),
            (0.9, 0.65),
            None,
            (0.65, 0.35),
            (0.65, 0.65),
            (0.65, 0.97),
        ],
        [
            (0.2, 0.05),
            (0.18, 0.3),
            (0.2, 0.5),
            None,
            (0.2, 0.5),
            (0.5, 0.52),
            (0.8, 0.48),
            None,
            (0.8, 0.05),
            (0.79, 0.5),
            (0.78, 0.97),
        ],
    ],
    5: [
        [
            (0.8, 0.06),
            (0.5, 0.06),
            (0.25, 0.06),
            None,
            (0.25, 0.06),
            (0.22, 0.25),
            (0.2, 0.45),
            None,
            (0.2, 0.45),
            (0.55, 0.38),
            (0.82, 0.62),
            (0.65, 0.9),
            (0.2, 0.92),
        ]
    ],
    6: [
        [(0.7, 0.05), (0.35, 0.3), (0.18, 0.65), (0.4, 0.94), (0.75, 0.85), (0.75, 0.6), (0.45, 0.52), (0.2, 0.7)],
        [(0.55, 0.05), (0.3, 0.4), (0.25, 0.75), (0.5, 0.95), (0.75, 0.75), (0.55, 0.55), (0.27, 0.7)],
    ],
    7: [
        [(0.15, 0.08), (0.5, 0.08), (0.85, 0.08), None, (0.85, 0.08), (0.6, 0.5), (0.42, 0.96)],
        [
            (0.15, 0.08),
            (0.5, 0.08),
            (0.85, 0.08),
            None,
            (0.85, 0.08),
            (0.6, 0.5),
            (0.42, 0.96),
            None,
            (0.35, 0.5),
            (0.55, 0.5),
            (0.78, 0.5),
        ],
    ],
    8: [
        [
            (0.5, 0.48),
            (0.2, 0.28),
            (0.5, 0.05),
            (0.8, 0.28),
            (0.5, 0.48),
            (0.18, 0.72),
            (0.5, 0.96),
            (0.82, 0.72),
            (0.5, 0.48),
        ],
        [
            (0.75, 0.15),
            (0.45, 0.05),
            (0.28, 0.28),
            (0.6, 0.55),
            (0.75, 0.8),
            (0.45, 0.96),
            (0.25, 0.75),
            (0.55, 0.45),
            (0.76, 0.18),
        ],
    ],
    9: [
        [
            (0.78, 0.3),
            (0.5, 0.05),
            (0.22, 0.25),
            (0.4, 0.5),
            (0.72, 0.42),
            (0.78, 0.2),
            None,
            (0.78, 0.2),
            (0.76, 0.6),
            (0.7, 0.96),
        ],
        [
            (0.78, 0.15),
            (0.45, 0.06),
            (0.24, 0.3),
            (0.5, 0.48),
            (0.78, 0.2),
            None,
            (0.78, 0.2),
            (0.72, 0.65),
            (0.5, 0.93),
            (0.25, 0.88),
        ],
    ],
}
SAMPLES = 16  # points of the curve between two control points


def curve(points: np.ndarray) -> np.ndarray:
    """[K,2] -> [(K-1) SAMPLES,2]: Catmull-Rom through the points."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, SAMPLES)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    return (0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)).reshape(
        -1, 2
    )


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
