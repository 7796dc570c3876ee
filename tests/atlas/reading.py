"""What a rendered page holds."""

import json
import re


def meta_of(html: str) -> dict:
    """What the page's script is told."""
    found = re.search(r"Atlas\.start\(map_atlas, (\{.*\})\);", html)
    assert found
    return json.loads(found.group(1))


def text_of(html: str, element: str) -> str:
    found = re.search(rf'<script type="text/plain" id="{element}">([^<]*)</script>', html)
    assert found, element
    return found.group(1)
