r"""Text from elsewhere as it may reach a terminal: keys, reasons, models and answers are written by others.

A terminal obeys control characters (clear, recolour, rename, paste), and bidirectional ones show text in another order
than it has. They and what nobody sees are shown as escapes (`\x1b`, `\u202e`); all else, in any script, is as it was.
"""

import re

_CONTROLS = "\x00-\x1f\x7f-\x9f"  # C0 and C1
_BREAKS = "\u2028\u2029"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# U+200C and U+200D stay: Persian, and many emoji, are written with them.
_INVISIBLE = "\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_SURROGATES = "\ud800-\udfff"  # no terminal's encoding has them
_UNSAFE = _BREAKS + _BIDI + _INVISIBLE + _SURROGATES
_in_text = re.compile(f"[{_CONTROLS}{_UNSAFE}]")
_in_json = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f{_UNSAFE}]")  # line feeds are its layout: in strings it has none


def escape(text: str) -> str:
    """One line of text, with nothing in it that a terminal obeys or hides."""
    return _in_text.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape_json(text: str) -> str:
    """JSON of the same value, in which strings hold nothing that a terminal obeys or hides."""
    return _in_json.sub(lambda found: _json_escape(found[0]), text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
