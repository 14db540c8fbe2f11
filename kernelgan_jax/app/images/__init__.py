"""Image files: all that is read and written, with its metadata.

`image_files` is the door; `image` is what a file holds. `image_kinds` names formats,
and `declared` is what a header says. `image_decoding`, `tiff_decoding`, `jpeg2000` and
`netpbm` read, `image_encoding` and `sequences` (animations, pages) write, `exif` and
`metadata` keep what goes with the pixels.
"""
