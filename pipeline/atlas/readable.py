"""Whether ink can be read on a colour: WCAG 2's contrast."""

MIN_CONTRAST = 4.5


def ink_on(colour: str, wanted: str | None = None) -> str:
    """The wanted ink, or black or white where its contrast on the colour is too low."""
    if wanted and contrast(wanted, colour) >= MIN_CONTRAST + 0.5:  # a little more, because tiles are translucent
        return wanted
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))


def contrast(one: str, two: str) -> float:
    """WCAG 2's contrast ratio of two #rrggbb colours."""
    dark, light = sorted(_luminance(colour) + 0.05 for colour in (one, two))
    return light / dark


def rgb(colour: str) -> list[float]:
    """Red, green and blue of #rrggbb, 0..1."""
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def _luminance(colour: str) -> float:
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
