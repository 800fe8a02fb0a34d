"""Draws the extension's and the module's icon (128 x 128 PNG): python Resources/draw_icons.py (needs Pillow).

A four-chamber view: two ventricles with their valves' insertion points, in the colours the points have in the scene.
"""

from pathlib import Path

from PIL import Image, ImageDraw

SIZE, FINE = 128, 8
BACKGROUND, MUSCLE, BLOOD = (24, 32, 44, 255), (120, 132, 148, 255), (214, 222, 230, 255)
MITRAL, TRICUSPID, APEX = (230, 159, 0, 255), (0, 158, 115, 255), (240, 228, 66, 255)


def draw() -> Image.Image:
    image = Image.new("RGBA", (SIZE * FINE, SIZE * FINE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)

    def box(left, top, right, bottom):
        return [v * FINE for v in (left, top, right, bottom)]

    def ellipse(centre, radii, fill):
        (x, y), (rx, ry) = centre, radii
        pen.ellipse(box(x - rx, y - ry, x + rx, y + ry), fill=fill)

    pen.rounded_rectangle(box(2, 2, 126, 126), radius=24 * FINE, fill=BACKGROUND)
    # ventricles above, atria below, as a four-chamber view is shown
    ellipse((64, 54), (50, 46), MUSCLE)
    ellipse((83, 50), (22, 36), BLOOD)
    ellipse((41, 56), (16, 29), BLOOD)
    ellipse((84, 99), (20, 16), BLOOD)
    ellipse((42, 99), (19, 16), BLOOD)
    for left, right, colour in (((66, 80), (104, 80), MITRAL), ((24, 80), (58, 80), TRICUSPID)):
        pen.arc(box(left[0], left[1] - 7, right[0], right[1] + 7), 0, 360, fill=colour, width=3 * FINE)
        for point in (left, right):
            ellipse(point, (6.5, 6.5), (255, 255, 255, 255))
            ellipse(point, (5, 5), colour)
    ellipse((83, 17), (5.5, 5.5), (255, 255, 255, 255))
    ellipse((83, 17), (4, 4), APEX)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    for folder in (root / "Resources" / "Icons", root / "CardiacValveLandmarks" / "Resources" / "Icons"):
        folder.mkdir(parents=True, exist_ok=True)
        draw().save(folder / "CardiacValveLandmarks.png", optimize=True)
