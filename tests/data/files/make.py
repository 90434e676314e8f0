"""Makes the files beside this one, and under expected/ what Pillow reads of each: Image.open, exif_transpose, convert("RGB").

    pip install pillow==13.0.0 && python make.py
"""

import struct
import zlib
from pathlib import Path

from PIL import Image, ImageOps

SIDE = 16
HERE = Path(__file__).parent


def scene(mode="RGB", width=SIDE, height=SIDE):
    """Smooth, and unlike itself when turned or mirrored."""
    image = Image.new("RGB", (width, height))
    image.putdata([(12 * x + 40, 10 * y + 20, 6 * (x + y) + 30) for y in range(height) for x in range(width)])
    return image.convert(mode)


def alpha(image):
    ramp = Image.new("L", image.size)
    ramp.putdata([17 * (i % SIDE) for i in range(SIDE * SIDE)])
    image = image.copy()
    image.putalpha(ramp)
    return image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, raw, interlace=0, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def interlaced():
    pixels, raw = scene().load(), b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for y in range(y0, SIDE, dy):
            raw += b"\0" + b"".join(bytes(pixels[x, y]) for x in range(x0, SIDE, dx))
    return png(SIDE, SIDE, 8, 2, raw, interlace=1)


def deep():
    """16 bits a sample; the low byte is noise that must not matter."""
    raw = b""
    for y in range(SIDE):
        raw += b"\0" + b"".join(bytes([v, 91 * (x + y + v) % 256]) for x in range(SIDE) for v in scene().getpixel((x, y)))
    return png(SIDE, SIDE, 16, 2, raw)


def ycck():
    """As Photoshop writes it. Pillow stores CMYK inverted and says transform 0; the planes are put in as Y, Cb, Cr, K."""
    inverted = ImageOps.invert(scene()).convert("YCbCr").split()
    black = Image.new("L", (SIDE, SIDE), 200)
    planes = [ImageOps.invert(plane) for plane in (*inverted, black)]
    Image.merge("CMYK", planes).save(HERE / "ycck.jpg", quality=95, subsampling=0)
    data = bytearray((HERE / "ycck.jpg").read_bytes())
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    data[at] = 2
    return bytes(data)


def cmyk():
    image = scene("CMYK")
    image.putdata([(c, m, y, 40) for c, m, y, _ in image.get_flattened_data()])
    return image


def oriented(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def main():
    rows = range(SIDE)
    two = [scene(), ImageOps.invert(scene())]
    four = scene().quantize(4)
    save = lambda name, image, **options: image.save(HERE / name, **options)
    save("progressive.jpg", scene(), progressive=True, quality=95)
    save("grey.jpg", scene("L"), quality=95)
    save("subsampled.jpg", scene(), quality=95, subsampling=2)
    save("cmyk.jpg", cmyk(), quality=95)
    (HERE / "ycck.jpg").write_bytes(ycck())
    save("turned.jpg", scene(width=24), quality=95, subsampling=0, exif=oriented(6))
    (HERE / "interlaced.png").write_bytes(interlaced())
    (HERE / "deep.png").write_bytes(deep())
    save("palette.png", four, transparency=1, bits=2)
    save("bilevel.png", scene("1"))
    raw = b"".join(b"\0" + bytes((16 * ((2 * x + y) % 16)) | ((2 * x + 1 + y) % 16) for x in range(SIDE // 2)) for y in rows)
    (HERE / "grey4.png").write_bytes(png(SIDE, SIDE, 4, 0, raw))
    raw = b"".join(b"\0" + b"".join(bytes(scene().getpixel((x, y))) for x in rows) for y in rows)
    key = struct.pack(">HHH", *scene().getpixel((3, 3)))
    (HERE / "keyed.png").write_bytes(png(SIDE, SIDE, 8, 2, raw, extra=chunk(b"tRNS", key)))
    save("turned.png", scene(width=24), exif=oriented(8))
    save("lossy.webp", scene(), quality=90)
    save("alpha.webp", alpha(scene()), lossless=True, exact=True)
    save("animated.webp", two[0], save_all=True, append_images=two[1:], lossless=True)
    save("turned.webp", scene(width=24), lossless=True, exif=oriented(3))
    save("palette.bmp", scene().quantize(16))
    save("rgba.bmp", alpha(scene()))
    frames = [image.quantize(16) for image in two]
    save("animated.gif", frames[0], save_all=True, append_images=frames[1:])
    save("transparent.gif", scene().quantize(16), transparency=3)
    save("lzw.tif", scene(), compression="tiff_lzw")
    save("deflate.tif", scene("L"), compression="tiff_adobe_deflate")
    save("bilevel.tif", scene("1"))
    save("cmyk.tif", cmyk())
    save("turned.tif", scene(width=24), tiffinfo={0x0112: 5})
    save("alpha.tif", alpha(scene()))

    for file in sorted(HERE.iterdir()):
        if file.suffix == ".py" or file.is_dir():
            continue
        image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        image.info.clear()
        image.save(HERE / "expected" / f"{file.name}.png", optimize=True)


main()
