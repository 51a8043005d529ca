"""The world of Toybox: captioned cartoon scenes, drawn from a description.

    python world.py sheet.png              a contact sheet of random scenes in every style
"""

import dataclasses
import sys

import numpy as np
import skia

from styles import INK, STYLES, mix, star

SIZE = 128

COLOURS = {
    "red": (226, 58, 56), "orange": (247, 146, 40), "yellow": (252, 216, 60), "green": (70, 178, 84),
    "blue": (58, 118, 226), "purple": (146, 80, 200), "pink": (250, 142, 188), "white": (246, 246, 250),
}
CHARACTERS = ("robot", "cat", "ghost", "knight", "rabbit", "monster")
ACCESSORIES = ("crown", "hat", "scarf", "glasses", "bow", "balloon")
ACCESSORY_COLOURS = ("red", "yellow", "green", "blue", "purple", "white")
BACKGROUNDS = {
    "meadow": "in a meadow", "night": "under the night sky", "beach": "on the beach", "snow": "in the snow",
    "forest": "in a forest", "city": "in the city", "desert": "in the desert", "plain": "on a plain background",
}
POSES = {"standing": "", "waving": "waving", "jumping": "jumping"}
SIZES = {"tiny": 0.76, "": 1.1, "giant": 1.38}
PLACES = {"left": ("on the left", -26), "": ("", 0), "right": ("on the right", 26)}


@dataclasses.dataclass(frozen=True)
class Scene:
    character: str
    colour: str
    background: str
    accessory: str = ""
    accessory_colour: str = ""
    pose: str = "standing"
    size: str = ""
    place: str = ""

    def caption(self):
        """Like "a tiny red robot with a blue hat waving on the beach on the left"."""
        words = ["a", self.size, self.colour, self.character]
        if self.accessory:
            glasses = self.accessory == "glasses"
            words += ["with" if glasses else "with a", self.accessory_colour, self.accessory]
        words += [POSES[self.pose], BACKGROUNDS[self.background], PLACES[self.place][0]]
        return " ".join(word for word in words if word)

    @staticmethod
    def draw_lot(random):
        """A random scene; the rarer attributes are absent half the time."""
        def pick(choices):
            return str(random.choice(list(choices)))
        accessory = pick(ACCESSORIES) if random.random() < 0.5 else ""
        return Scene(
            character=pick(CHARACTERS), colour=pick(COLOURS), background=pick(BACKGROUNDS), accessory=accessory,
            accessory_colour=pick(ACCESSORY_COLOURS) if accessory else "",
            pose=pick(POSES) if random.random() < 0.5 else "standing",
            size=pick(SIZES) if random.random() < 0.4 else "", place=pick(PLACES) if random.random() < 0.4 else "")


def combinations():
    """The number of distinct captions."""
    accessories = 1 + len(ACCESSORIES) * len(ACCESSORY_COLOURS)
    return (len(CHARACTERS) * len(COLOURS) * len(BACKGROUNDS) * accessories * len(POSES) * len(SIZES) * len(PLACES))


# Shapes. Coordinates are pixels of the picture for backgrounds; a character stands with its feet at (0, 0), head up
# to about -70, and is scaled and moved as a whole.

def circle(x, y, radius):
    return skia.Path().addCircle(x, y, radius)


def ellipse(x, y, width, height):
    return skia.Path().addOval(skia.Rect.MakeXYWH(x - width / 2, y - height / 2, width, height))


def box(x, y, width, height, radius=0.0):
    """Centred at x; y is the top."""
    rectangle = skia.Rect.MakeXYWH(x - width / 2, y, width, height)
    return skia.Path().addRRect(skia.RRect.MakeRectXY(rectangle, radius, radius))


def polygon(*points):
    path = skia.Path()
    path.addPoly([skia.Point(*point) for point in points], True)
    return path


def polyline(*points):
    path = skia.Path()
    path.addPoly([skia.Point(*point) for point in points], False)
    return path


def curve(start, control, end):
    path = skia.Path()
    path.moveTo(*start)
    path.quadTo(*control, *end)
    return path


def thick(path, width):
    """The outline of a stroke of that width with round ends."""
    paint = skia.Paint(Style=skia.Paint.kStroke_Style, StrokeWidth=width, StrokeCap=skia.Paint.kRound_Cap)
    outline = skia.Path()
    paint.getFillPath(path, outline, resScale=4)
    return skia.Simplify(outline)


def united(*paths):
    whole = paths[0]
    for path in paths[1:]:
        whole = skia.Op(whole, path, skia.PathOp.kUnion_PathOp)
    return whole


# Backgrounds.

def ground(top, bend=0.0):
    path = skia.Path()
    path.moveTo(-4, top)
    path.quadTo(SIZE / 2, top - bend, SIZE + 4, top)
    path.lineTo(SIZE + 4, SIZE + 4)
    path.lineTo(-4, SIZE + 4)
    path.close()
    return path


def sky(pen, colour):
    pen.backdrop(box(SIZE / 2, -4, SIZE + 8, SIZE + 8), colour)


def draw_background(pen, name):
    random = pen.random
    shift = random.uniform(-8, 8)
    if name == "meadow":
        sky(pen, (150, 214, 250))
        pen.backdrop(circle(104 + shift, 20, 11), (255, 222, 90))
        pen.backdrop(ground(84, 22), (150, 214, 120))
        pen.backdrop(ground(96, -8), (104, 190, 92))
        for x in (14, 40, 92, 116):
            pen.detail(circle(x + shift, 112 + random.uniform(-6, 6), 2.4), (255, 250, 230))
    elif name == "night":
        sky(pen, (30, 34, 88))
        moon = skia.Op(circle(102 + shift, 24, 12), circle(108 + shift, 20, 10), skia.PathOp.kDifference_PathOp)
        pen.backdrop(moon, (250, 240, 190))
        for x, y in ((14, 18), (36, 40), (58, 12), (80, 34), (18, 62), (114, 58)):
            pen.detail(star(x + shift, y + random.uniform(-4, 4), 3.6, points=5, inner=0.45), (255, 250, 200))
        pen.backdrop(ground(94, 10), (52, 62, 128))
    elif name == "beach":
        sky(pen, (176, 228, 250))
        pen.backdrop(circle(22 + shift, 22, 11), (255, 222, 90))
        pen.backdrop(box(SIZE / 2, 62, SIZE + 8, 40), (56, 150, 214))
        for x in (18, 60, 104):
            pen.line(curve((x + shift - 8, 74), (x + shift, 70), (x + shift + 8, 74)), (230, 246, 255), 1.6)
        pen.backdrop(ground(92, 6), (246, 220, 158))
    elif name == "snow":
        sky(pen, (188, 214, 238))
        for x in (16, 34, 96, 114):
            top = 48 + random.uniform(-6, 6)
            pen.backdrop(polygon((x + shift, top), (x + shift - 11, 92), (x + shift + 11, 92)), (74, 132, 116))
        pen.backdrop(ground(90, 8), (246, 250, 255))
        for x, y in ((12, 16), (48, 26), (72, 10), (104, 30), (122, 12)):
            pen.detail(circle(x + shift, y + random.uniform(-5, 5), 2.2), (255, 255, 255))
    elif name == "forest":
        sky(pen, (168, 206, 150))
        for x in (10, 32, 98, 120):
            pen.backdrop(box(x + shift, 40, 8, 60), (122, 86, 58))
            pen.backdrop(circle(x + shift, 34 + random.uniform(-5, 5), 17), (52, 120, 72))
        pen.backdrop(ground(94, 6), (112, 138, 70))
    elif name == "city":
        sky(pen, (250, 212, 180))
        for x, top in ((10, 44), (34, 24), (96, 34), (120, 52)):
            x, top = x + shift, top + random.uniform(-5, 5)
            pen.backdrop(box(x, top, 20, 70), (116, 124, 158))
            for row in range(3):
                for side in (-4.5, 4.5):
                    pen.detail(box(x + side, top + 7 + 14 * row, 5, 7), (255, 236, 150))
        pen.backdrop(ground(96), (128, 126, 134))
    elif name == "desert":
        sky(pen, (255, 232, 184))
        pen.backdrop(circle(98 + shift, 26, 13), (250, 150, 80))
        pen.backdrop(ground(86, 16), (226, 158, 88))
        for x in (20, 112):
            trunk = thick(polyline((x + shift, 90), (x + shift, 58)), 8)
            arm = thick(curve((x + shift, 78), (x + shift + 13, 80), (x + shift + 12, 66)), 6)
            pen.backdrop(united(trunk, arm), (84, 150, 84))
        pen.backdrop(ground(98, -6), (240, 186, 112))
    elif name == "plain":
        sky(pen, (246, 238, 222))


# Characters. Each returns where its head ends, its eyes are, its neck is and how wide its face is.

SKELETON = {  # left hand, right hand, left foot, right foot
    "standing": ((-21, -13), (21, -13), (-8, -2), (8, -2)),
    "waving": ((-21, -13), (24, -48), (-8, -2), (8, -2)),
    "jumping": ((-24, -44), (24, -44), (-14, -4), (14, -4)),
}


def limbs(pen, colour, pose, width=7, legs=True):
    left_hand, right_hand, left_foot, right_foot = SKELETON[pose]
    if legs:
        pen.shape(thick(polyline((-7, -14), left_foot), width), colour)
        pen.shape(thick(polyline((7, -14), right_foot), width), colour)
    pen.shape(thick(polyline((-12, -27), left_hand), width - 1), colour)
    pen.shape(thick(polyline((12, -27), right_hand), width - 1), colour)


def eyes(pen, y, apart, radius=2.6):
    for x in (-apart, apart):
        pen.detail(circle(x, y, radius), INK)
        pen.detail(circle(x + 0.8, y - 0.9, radius * 0.35), (255, 255, 255))


def shade(colour, amount=0.25):
    return mix(colour, INK, amount)


def tint(colour, amount=0.6):
    return mix(colour, (255, 255, 255), amount)


def draw_robot(pen, colour, pose):
    limbs(pen, (150, 156, 172), pose, width=6)
    pen.line(polyline((0, -64), (0, -72)), INK, 2)
    pen.shape(circle(0, -74, 3.4), (250, 210, 70))
    pen.shape(box(0, -35, 28, 26, 4), colour)
    pen.shape(box(0, -28, 14, 11, 2), tint(colour))
    pen.shape(box(0, -65, 34, 28, 5), colour)
    pen.shape(box(0, -59, 26, 12, 5), (226, 240, 250))
    eyes(pen, -53, 6.5)
    pen.line(polyline((-6, -42), (6, -42)), INK, 2)
    return {"top": -65, "eyes": -53, "neck": -36, "face": 6.5}


def draw_cat(pen, colour, pose):
    pen.shape(thick(curve((12, -10), (34, -8), (28, -32)), 6), colour)
    limbs(pen, colour, pose)
    pen.shape(ellipse(0, -22, 30, 32), colour)
    pen.shape(ellipse(0, -18, 16, 20), tint(colour))
    for side in (-1, 1):
        pen.shape(polygon((18 * side, -72), (19 * side, -50), (4 * side, -62)), colour)
        pen.detail(polygon((15.5 * side, -67), (16 * side, -56), (8 * side, -61)), tint(colour))
    pen.shape(ellipse(0, -51, 38, 30), colour)
    eyes(pen, -53, 8)
    pen.detail(polygon((-2.6, -48), (2.6, -48), (0, -45)), (236, 120, 140))
    for side in (-1, 1):
        pen.line(polyline((9 * side, -46), (23 * side, -48)), INK, 1)
        pen.line(polyline((9 * side, -44), (23 * side, -42)), INK, 1)
    return {"top": -64, "eyes": -53, "neck": -36, "face": 8}


def draw_ghost(pen, colour, pose):
    left_hand, right_hand, _, _ = SKELETON[pose]
    pen.shape(thick(polyline((-12, -30), left_hand), 7), colour)
    pen.shape(thick(polyline((12, -30), right_hand), 7), colour)
    sheet = skia.Path()
    sheet.moveTo(-19, -4)
    sheet.lineTo(-19, -46)
    sheet.arcTo(skia.Rect.MakeXYWH(-19, -67, 38, 40), 180, 180, False)
    sheet.lineTo(19, -4)
    for index in range(4):
        x = 19 - 9.5 * index
        sheet.quadTo(x - 2.4, -13, x - 4.75, -6)
        sheet.quadTo(x - 7, 1, x - 9.5, -4)
    sheet.close()
    pen.shape(sheet, colour)
    eyes(pen, -50, 7, 3.4)
    pen.detail(ellipse(0, -39, 6, 8), INK)
    return {"top": -66, "eyes": -50, "neck": -32, "face": 7}


def draw_knight(pen, colour, pose):
    steel = (176, 184, 200)
    limbs(pen, steel, pose, width=7)
    pen.shape(thick(curve((0, -64), (-6, -80), (-20, -70)), 6), shade(colour, 0.1))
    pen.shape(box(0, -36, 30, 27, 6), colour)
    pen.line(polyline((0, -32), (0, -14)), (255, 255, 255), 3.4)
    pen.line(polyline((-8, -25), (8, -25)), (255, 255, 255), 3.4)
    pen.shape(box(0, -66, 32, 30, 12), steel)
    pen.shape(box(0, -56, 26, 9, 3), INK)
    for x in (-6, 6):
        pen.detail(circle(x, -51.5, 2.2), (255, 255, 255))
    for x in (-6, 0, 6):
        pen.line(polyline((x, -44), (x, -40)), INK, 1.2)
    return {"top": -65, "eyes": -52, "neck": -36, "face": 7}


def draw_rabbit(pen, colour, pose):
    limbs(pen, colour, pose)
    pen.shape(ellipse(0, -21, 30, 31), colour)
    pen.shape(ellipse(0, -18, 17, 21), tint(colour, 0.7))
    for side in (-1, 1):
        pen.shape(ellipse(9 * side, -74, 11, 34), colour)
        pen.detail(ellipse(9 * side, -74, 5, 24), (250, 190, 200))
    pen.shape(ellipse(0, -50, 32, 30), colour)
    eyes(pen, -53, 7)
    pen.detail(ellipse(0, -47, 5, 3.4), (236, 120, 140))
    pen.shape(box(0, -44, 6, 6, 1), (255, 255, 255))
    return {"top": -63, "eyes": -53, "neck": -36, "face": 7}


def draw_monster(pen, colour, pose):
    limbs(pen, shade(colour, 0.12), pose, width=8)
    for side in (-1, 1):
        pen.shape(polygon((20 * side, -76), (17 * side, -54), (7 * side, -62)), (250, 236, 200))
    pen.shape(box(0, -66, 42, 56, 19), colour)
    pen.shape(circle(0, -48, 10.5), (255, 255, 255))
    pen.detail(circle(0, -47, 5.4), INK)
    pen.detail(circle(1.8, -49, 1.8), (255, 255, 255))
    mouth = skia.Path()
    mouth.moveTo(-12, -32)
    mouth.lineTo(12, -32)
    mouth.quadTo(0, -14, -12, -32)
    mouth.close()
    pen.shape(mouth, (96, 30, 48))
    pen.detail(polygon((-9, -31.5), (-3, -31.5), (-6, -26.5)), (255, 255, 255))
    pen.detail(polygon((9, -31.5), (3, -31.5), (6, -26.5)), (255, 255, 255))
    return {"top": -66, "eyes": -48, "neck": -35, "face": 9}


def draw_owl(pen, colour, pose):
    """Lumi, whom the base model never sees: a teal owl with a star on its chest."""
    feather, belly = (40, 150, 150), (236, 226, 196)
    left_hand, right_hand, left_foot, right_foot = SKELETON[pose]
    for foot in (left_foot, right_foot):
        pen.shape(ellipse(foot[0], foot[1], 11, 6), (246, 160, 50))
    for hand, side in ((left_hand, -1), (right_hand, 1)):
        pen.shape(thick(polyline((15 * side, -32), hand), 10), shade(feather, 0.2))
    for side in (-1, 1):
        pen.shape(polygon((20 * side, -77), (19 * side, -52), (4 * side, -64)), feather)
    pen.shape(ellipse(0, -35, 42, 64), feather)
    pen.shape(ellipse(0, -22, 28, 34), belly)
    for side in (-1, 1):
        pen.shape(circle(9 * side, -51, 9), (255, 250, 235))
        pen.detail(circle(9 * side, -51, 4.6), INK)
        pen.detail(circle(9 * side + 1.5, -52.6, 1.6), (255, 255, 255))
    pen.shape(polygon((-4, -45), (4, -45), (0, -38)), (246, 160, 50))
    pen.shape(star(0, -21, 12, points=5, inner=0.45), (232, 40, 60))
    return {"top": -66, "eyes": -51, "neck": -37, "face": 9}


BODIES = {
    "robot": draw_robot, "cat": draw_cat, "ghost": draw_ghost, "knight": draw_knight, "rabbit": draw_rabbit,
    "monster": draw_monster, "owl": draw_owl,
}


def draw_accessory(pen, name, colour, pose, spots):
    top = spots["top"]
    if name == "crown":
        pen.shape(polygon((-13, top + 4), (-15, top - 12), (-7, top - 5), (0, top - 15), (7, top - 5), (15, top - 12),
                          (13, top + 4)), colour)
        for x in (-7, 0, 7):
            pen.detail(circle(x, top - 0.5, 1.7), shade(colour, 0.5))
    elif name == "hat":
        pen.shape(box(0, top - 18, 24, 20, 2), colour)
        pen.detail(box(0, top - 5, 24, 4.5), shade(colour, 0.55))
        pen.shape(box(0, top, 40, 5, 2.5), colour)
    elif name == "scarf":
        neck = spots["neck"]
        pen.shape(box(9, neck, 9, 22, 3), shade(colour, 0.12))
        pen.shape(box(0, neck - 4, 34, 9, 4.5), colour)
    elif name == "glasses":
        for side in (-1, 1):
            pen.line(circle(spots["face"] * side, spots["eyes"], 7), INK, 4.2)
            pen.line(circle(spots["face"] * side, spots["eyes"], 7), colour, 2.4)
        pen.line(polyline((-2, spots["eyes"]), (2, spots["eyes"])), colour, 2.4)
    elif name == "bow":
        neck = spots["neck"] + 2
        pen.shape(polygon((0, neck), (-13, neck - 8), (-13, neck + 8)), colour)
        pen.shape(polygon((0, neck), (13, neck - 8), (13, neck + 8)), colour)
        pen.shape(circle(0, neck, 3.6), shade(colour, 0.15))
    elif name == "balloon":
        x, y = SKELETON[pose][0]
        pen.line(curve((x, y), (x - 12, y - 14), (x - 8, y - 36)), INK, 1.3)
        pen.shape(ellipse(x - 8, y - 48, 22, 26), colour)
        pen.detail(ellipse(x - 12, y - 53, 4, 7), tint(colour, 0.7))


def draw(scene, random, style="flat"):
    """The picture of a scene: SIZE x SIZE x 3 bytes. `random` moves clouds and stars, and nothing that is said."""
    pen = STYLES[style](SIZE, random)
    draw_background(pen, scene.background)
    scale = SIZES[scene.size] * random.uniform(0.96, 1.04)
    x = SIZE / 2 + PLACES[scene.place][1] + random.uniform(-4, 4)
    giant = scene.size == "giant"
    floor = (120 if giant else 112) + random.uniform(-2, 2)
    lift = (9 if giant else 16) if scene.pose == "jumping" else 0
    pen.fill(ellipse(x, floor, 34 * scale * (0.7 if lift else 1), 7), shade((120, 120, 130), 0.35))
    pen.canvas.save()
    pen.canvas.translate(x, floor - lift)
    pen.canvas.scale(scale, scale)
    colour = COLOURS.get(scene.colour)
    spots = BODIES[scene.character](pen, colour, scene.pose)
    if scene.accessory:
        draw_accessory(pen, scene.accessory, COLOURS[scene.accessory_colour], scene.pose, spots)
    pen.canvas.restore()
    return pen.image()


def save_picture(pixels, path):
    """Writes height x width x 3 bytes as a PNG."""
    opaque = np.pad(pixels, ((0, 0), (0, 0), (0, 1)), constant_values=255)
    skia.Image.fromarray(np.ascontiguousarray(opaque)).save(str(path))


def sheet(path, seed=1):
    """Eight random scenes in each style, and Lumi in the last row."""
    random = np.random.default_rng(seed)
    rows = []
    for style in STYLES:
        rows += [[draw(Scene.draw_lot(random), random, style) for _ in range(8)] for _ in range(2)]
    lumis = [dataclasses.replace(Scene.draw_lot(random), character="owl") for _ in range(8)]
    rows.append([draw(scene, random) for scene in lumis])
    save_picture(np.vstack([np.hstack(row) for row in rows]), path)
    print(f"{combinations()} captions")


if __name__ == "__main__":
    sheet(sys.argv[1])
