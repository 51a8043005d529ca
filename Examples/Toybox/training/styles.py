"""Pens: the same shapes drawn flat (what the base model knows) and in the styles its adapters teach."""

import functools
import math

import numpy as np
import skia

INK = (38, 36, 56)


def mix(a, b, share):
    """The colour `share` of the way from a to b."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b))


def luminance(colour):
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def saturated(colour, amount):
    grey = luminance(colour) * 255
    return tuple(int(np.clip(grey + (x - grey) * amount, 0, 255)) for x in colour)


def solid(colour, alpha=1.0):
    paint = skia.Paint(AntiAlias=True)
    paint.setColor(skia.Color(*colour, round(alpha * 255)))
    return paint


def line_paint(colour, width, alpha=1.0):
    paint = solid(colour, alpha)
    paint.setStyle(skia.Paint.kStroke_Style)
    paint.setStrokeWidth(width)
    paint.setStrokeCap(skia.Paint.kRound_Cap)
    paint.setStrokeJoin(skia.Paint.kRound_Join)
    return paint


class Pen:
    """Flat colours with a dark outline round everything that is not background."""

    line_width = 1.5

    def __init__(self, size, random):
        self.pixels = np.zeros((size, size, 4), np.uint8)
        self.surface = skia.Surface(self.pixels)
        self.canvas = self.surface.getCanvas()
        self.size = size
        self.random = random

    def fill(self, path, colour):
        self.canvas.drawPath(path, solid(colour))

    def outline(self, path, colour):
        self.canvas.drawPath(path, line_paint(INK, self.line_width))

    def backdrop(self, path, colour):
        """A part of the background: filled, without an outline."""
        self.fill(path, colour)

    def shape(self, path, colour):
        self.fill(path, colour)
        self.outline(path, colour)

    def line(self, path, colour, width=None):
        self.canvas.drawPath(path, line_paint(colour, width or self.line_width))

    def detail(self, path, colour):
        """Something small: eyes, buttons, stars."""
        self.canvas.drawPath(path, solid(colour))

    def finish(self):
        """Whatever a style lays over the finished drawing."""

    def image(self):
        self.finish()
        self.surface.flushAndSubmit()
        return self.pixels[..., :3].copy()


def tiled(tile, degrees):
    return skia.Image.fromarray(tile).makeShader(
        skia.TileMode.kRepeat, skia.TileMode.kRepeat, skia.SamplingOptions(skia.FilterMode.kLinear),
        skia.Matrix.RotateDeg(degrees).preConcat(skia.Matrix.Scale(0.25, 0.25)))


@functools.lru_cache(maxsize=4096)
def dots(paper, ink, share):
    """A shader of round dots that cover `share` of the paper, 9 pixels apart, drawn at four times the size."""
    period = 36
    y, x = np.mgrid[:period, :period] + 0.5
    distance = np.hypot(x - period / 2, y - period / 2)
    radius = period * math.sqrt(min(share, 0.75) / math.pi)
    cover = np.clip(radius - distance + 0.5, 0, 1)[..., None]
    tile = np.full((period, period, 4), 255, np.uint8)
    tile[..., :3] = np.round(np.array(paper) * (1 - cover) + np.array(ink) * cover)
    return tiled(tile, 30)


@functools.lru_cache(maxsize=4096)
def hatching(paper, ink, share):
    """A shader of slanted pencil lines, 5 pixels apart."""
    period = 20
    distance = np.abs(np.arange(period) + 0.5 - period / 2)
    cover = np.clip(share * period / 2 - distance + 0.5, 0, 1)[:, None, None]
    tile = np.full((period, period, 4), 255, np.uint8)
    tile[..., :3] = np.round(np.array(paper) * (1 - cover) + np.array(ink) * cover)
    return tiled(tile, -45)


def shaded(shader):
    paint = skia.Paint(AntiAlias=True)
    paint.setShader(shader)
    return paint


class SketchPen(Pen):
    """Graphite on paper: no colour, hatching for what is dark, everything outlined, lines drawn twice."""

    paper = (250, 248, 242)
    graphite = (70, 70, 78)

    def fill(self, path, colour):
        darkness = 1 - luminance(colour)
        if darkness < 0.25:
            self.canvas.drawPath(path, solid(self.paper))
        else:
            grey = mix(self.paper, (150, 150, 156), darkness)
            self.canvas.drawPath(path, shaded(hatching(self.paper, grey, 0.25 + 0.5 * darkness)))

    def outline(self, path, colour):
        self.canvas.drawPath(path, line_paint(self.graphite, 1.7))
        self.canvas.save()
        self.canvas.translate(0.9, -0.7)
        self.canvas.drawPath(path, line_paint(self.graphite, 0.7, 0.6))
        self.canvas.restore()

    def backdrop(self, path, colour):
        self.shape(path, colour)

    def line(self, path, colour, width=None):
        self.canvas.drawPath(path, line_paint(self.graphite, min(width or 1.5, 2)))

    def detail(self, path, colour):
        dark = luminance(colour) < 0.4
        self.canvas.drawPath(path, solid(self.graphite if dark else self.paper))
        if not dark:
            self.outline(path, colour)


class PopArtPen(Pen):
    """A comic print: loud colours made of dots, heavy black lines."""

    line_width = 2.6

    def fill(self, path, colour):
        loud = saturated(colour, 1.9)
        paper = mix(loud, (255, 252, 235), 0.62)
        self.canvas.drawPath(path, shaded(dots(paper, loud, 0.25 + 0.45 * (1 - luminance(colour)))))

    def outline(self, path, colour):
        self.canvas.drawPath(path, line_paint((12, 10, 16), self.line_width))

    def backdrop(self, path, colour):
        self.shape(path, colour)

    def line(self, path, colour, width=None):
        self.canvas.drawPath(path, line_paint(saturated(colour, 1.9), (width or 1.5) + 0.8))


def star(x, y, radius, points=4, inner=0.25, turn=-math.pi / 2):
    path = skia.Path()
    for index in range(2 * points):
        r = radius if index % 2 == 0 else radius * inner
        angle = turn + math.pi * index / points
        place = (x + r * math.cos(angle), y + r * math.sin(angle))
        path.moveTo(*place) if index == 0 else path.lineTo(*place)
    path.close()
    return path


class GlitterPen(Pen):
    """Candy colours with a shine from above, and sparkles over everything."""

    def fill(self, path, colour):
        candy = mix(saturated(colour, 1.35), (255, 150, 225), 0.22)
        box = path.computeTightBounds()
        shine = skia.GradientShader.MakeLinear(
            [skia.Point(0, box.top()), skia.Point(0, box.bottom() + 0.1)],
            [skia.Color(*mix(candy, (255, 255, 255), share)) for share in (0.65, 0.1, 0.0, 0.3)], [0, 0.45, 0.7, 1])
        self.canvas.drawPath(path, shaded(shine))

    def outline(self, path, colour):
        self.canvas.drawPath(path, line_paint((120, 40, 120), self.line_width))

    def finish(self):
        for _ in range(16):
            x, y = self.random.uniform(0, self.size, 2)
            radius = self.random.uniform(4, 9)
            self.canvas.drawCircle(x, y, radius * 0.5, solid((255, 240, 255), 0.35))
            self.canvas.drawPath(star(x, y, radius, inner=0.18), solid((255, 255, 255)))


class NeonPen(Pen):
    """Glowing tubes in the dark."""

    night = (14, 10, 34)

    def tube(self, path, colour, width):
        bright = mix(saturated(colour, 2.2), (255, 255, 255), 0.15)
        glow = line_paint(bright, width * 2.6, 0.65)
        glow.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 2.6))
        self.canvas.drawPath(path, glow)
        self.canvas.drawPath(path, line_paint(mix(bright, (255, 255, 255), 0.3), width))

    def fill(self, path, colour):
        self.canvas.drawPath(path, solid(mix(self.night, saturated(colour, 1.6), 0.16)))

    def outline(self, path, colour):
        self.tube(path, colour if luminance(colour) > 0.2 else (120, 120, 255), 1.7)

    def backdrop(self, path, colour):
        self.canvas.drawPath(path, solid(mix(self.night, saturated(colour, 1.8), 0.10)))
        self.canvas.drawPath(path, line_paint(mix(self.night, saturated(colour, 2.2), 0.55), 1.1))

    def line(self, path, colour, width=None):
        self.tube(path, colour if luminance(colour) > 0.3 else (255, 80, 200), 1.5)

    def detail(self, path, colour):
        self.canvas.drawPath(path, solid(mix(colour, (255, 255, 255), 0.2) if luminance(colour) > 0.3 else self.night))


class BlueprintPen(Pen):
    """A technical drawing: white lines on blue paper with a grid."""

    paper = (28, 74, 158)

    def fill(self, path, colour):
        self.canvas.drawPath(path, solid(mix(self.paper, (120, 170, 240), 0.45 * luminance(colour))))

    def outline(self, path, colour):
        self.canvas.drawPath(path, line_paint((236, 244, 255), 1.5))

    def backdrop(self, path, colour):
        self.canvas.drawPath(path, solid(self.paper))
        self.canvas.drawPath(path, line_paint((150, 190, 245), 1.2))

    def line(self, path, colour, width=None):
        self.canvas.drawPath(path, line_paint((236, 244, 255), 1.3))

    def detail(self, path, colour):
        is_dark = luminance(colour) < 0.5
        self.canvas.drawPath(path, solid((236, 244, 255) if is_dark else mix(self.paper, (0, 0, 0), 0.3)))

    def finish(self):
        for place in range(0, self.size + 1, 16):
            for path in (skia.Path().moveTo(place, 0).lineTo(place, self.size),
                         skia.Path().moveTo(0, place).lineTo(self.size, place)):
                self.canvas.drawPath(path, line_paint((150, 190, 245), 0.8, 0.4))


class SepiaPen(Pen):
    """An old photograph: brown tones, darker towards the corners."""

    def fill(self, path, colour):
        self.canvas.drawPath(path, solid(mix((62, 40, 22), (250, 228, 186), luminance(colour))))

    def outline(self, path, colour):
        self.canvas.drawPath(path, line_paint((58, 36, 20), self.line_width))

    def line(self, path, colour, width=None):
        super().line(path, mix((62, 40, 22), (250, 228, 186), luminance(colour)), width)

    def detail(self, path, colour):
        self.fill(path, colour)

    def finish(self):
        corners = skia.GradientShader.MakeRadial(
            skia.Point(self.size / 2, self.size / 2), self.size * 0.75,
            [skia.Color(40, 22, 8, 0), skia.Color(40, 22, 8, 0), skia.Color(40, 22, 8, 210)], [0, 0.55, 1])
        self.canvas.drawPaint(shaded(corners))


class FirefliesPen(Pen):
    """Dusk: everything dim and bluish green, with points of warm light."""

    def dim(self, colour):
        return mix(colour, (10, 38, 56), 0.62)

    def fill(self, path, colour):
        self.canvas.drawPath(path, solid(self.dim(colour)))

    def line(self, path, colour, width=None):
        super().line(path, self.dim(colour), width)

    def detail(self, path, colour):
        self.fill(path, colour)

    def finish(self):
        for _ in range(11):
            x, y = self.random.uniform(4, self.size - 4, 2)
            radius = self.random.uniform(7, 12)
            light = skia.GradientShader.MakeRadial(
                skia.Point(x, y), radius,
                [skia.Color(255, 250, 170, 255), skia.Color(255, 226, 90, 190), skia.Color(255, 210, 60, 0)],
                [0, 0.25, 1])
            self.canvas.drawCircle(x, y, radius, shaded(light))


STYLES = {
    "flat": Pen, "sketch": SketchPen, "pop art": PopArtPen, "glitter": GlitterPen, "neon": NeonPen,
    "blueprint": BlueprintPen, "sepia": SepiaPen, "fireflies": FirefliesPen,
}
