# SPDX-License-Identifier: MIT
"""The D-Bus wire format, both ways, by signature. A test of bad input must be able to send what no binding lets
through: wrong types inside variants, keys that do not exist, text that is not UTF-8."""

import struct

FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "b": "I", "h": "I"}
ALIGNMENT = {**{code: struct.calcsize(form) for code, form in FIXED.items()},
             "s": 4, "o": 4, "a": 4, "g": 1, "v": 1, "(": 8, "{": 8}


class Variant:
    """A value that travels with its own signature."""

    def __init__(self, signature, value):
        self.signature = signature
        self.value = value


def split(signature):
    """The complete types of a signature, one by one."""
    types, rest = [], signature
    while rest:
        length = _length_of_first(rest)
        types.append(rest[:length])
        rest = rest[length:]
    return types


def _length_of_first(signature):
    if signature[0] == "a":
        return 1 + _length_of_first(signature[1:])
    if signature[0] not in "({":
        return 1
    depth = 0
    for position, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return position + 1
    raise ValueError(f"unbalanced signature {signature!r}")


class Encoder:
    """Appends values to a little-endian body."""

    def __init__(self):
        self.body = bytearray()

    def align(self, size):
        self.body += bytes(-len(self.body) % size)

    def values(self, signature, values):
        for one, value in zip(split(signature), values, strict=True):
            self.value(one, value)
        return self

    def value(self, signature, value):
        code = signature[0]
        self.align(ALIGNMENT[code])
        if code in FIXED:
            self.body += struct.pack("<" + FIXED[code], value)
        elif code in "so":
            text = value if isinstance(value, bytes) else value.encode()
            self.body += struct.pack("<I", len(text)) + text + b"\0"
        elif code == "g":
            self.body += bytes([len(value)]) + value.encode() + b"\0"
        elif code == "v":
            self.value("g", value.signature)
            self.value(value.signature, value.value)
        elif code == "a":
            self._array(signature[1:], value)
        else:
            self.values(signature[1:-1], value)

    def _array(self, element, items):
        place = len(self.body)
        self.body += bytes(4)
        self.align(ALIGNMENT[element[0]])
        start = len(self.body)
        for item in items.items() if isinstance(items, dict) else items:
            self.value(element, item)
        struct.pack_into("<I", self.body, place, len(self.body) - start)


class Decoder:
    """Reads values off a body. A variant is unwrapped to its value, an array of pairs becomes a dict, and a
    descriptor the number the kernel gave it here."""

    def __init__(self, body, descriptors=(), order="<"):
        self.body = body
        self.descriptors = descriptors
        self.order = order
        self.position = 0

    def align(self, size):
        self.position += -self.position % size

    def values(self, signature):
        return [self.value(one) for one in split(signature)]

    def _fixed(self, form):
        (value,) = struct.unpack_from(self.order + form, self.body, self.position)
        self.position += struct.calcsize(form)
        return value

    def _text(self, length):
        text = bytes(self.body[self.position:self.position + length]).decode()
        self.position += length + 1
        return text

    def value(self, signature):
        code = signature[0]
        self.align(ALIGNMENT[code])
        if code == "b":
            return bool(self._fixed("I"))
        if code == "h":
            return self.descriptors[self._fixed("I")]
        if code in FIXED:
            return self._fixed(FIXED[code])
        if code in "so":
            return self._text(self._fixed("I"))
        if code == "g":
            return self._text(self._fixed("B"))
        if code == "v":
            return self.value(self.value("g"))
        if code == "a":
            return self._array(signature[1:])
        return tuple(self.values(signature[1:-1]))

    def _array(self, element):
        length = self._fixed("I")
        self.align(ALIGNMENT[element[0]])
        end, items = self.position + length, []
        while self.position < end:
            items.append(self.value(element))
        return dict(items) if element[0] == "{" else items
