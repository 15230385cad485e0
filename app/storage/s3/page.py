"""One page of ListObjectsV2.

botocore reads the XML twice, and in each object it looks for whatever an object may have, which takes five
times as long as to read what there is. What is no page is left to it.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLParser, fromstring

from app.storage.s3.timestamps import timestamp

_NOTHING_LEFT = b"<ListBucketResult/>"


def read_page(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """For botocore's `before-parse`: takes the page out of the body, into what botocore answers."""
    if response_dict["status_code"] != 200:
        return
    try:
        # As botocore does, whatever the body says of its encoding.
        parser = XMLParser(encoding="utf-8")  # noqa: S314 - it is botocore's
        root = fromstring(response_dict["body"], parser)  # noqa: S314 - see above
    except ParseError:
        return
    if _name(root) == "ListBucketResult":
        customized_response_dict |= _page(root)
        response_dict["body"] = _NOTHING_LEFT


def _page(root: Element) -> dict[str, Any]:
    """What is in it, apart from what nobody here asks for. Raises `ValueError` as botocore does."""
    page: dict[str, Any] = {}
    for element in root:
        match _name(element):
            case "Contents":
                page.setdefault("Contents", []).append(_object(element))
            case "CommonPrefixes":
                page.setdefault("CommonPrefixes", []).append(_texts(element))
            case "IsTruncated":
                page["IsTruncated"] = element.text == "true"
            case "NextContinuationToken" | "EncodingType" as name:
                page[name] = element.text or ""
    return page


def _object(element: Element) -> dict[str, Any]:
    found: dict[str, Any] = _texts(element)
    if "Size" in found:
        found["Size"] = int(found["Size"])
    if "LastModified" in found:
        found["LastModified"] = timestamp(found["LastModified"])
    return found


def _texts(element: Element) -> dict[str, str]:
    return {_name(child): child.text or "" for child in element}


def _name(element: Element) -> str:
    """Without its namespace, which not every store gives."""
    return element.tag.rpartition("}")[2]
