from __future__ import annotations

from website.element_tree import build_tree, value_of

DOCUMENT = {
    "0010,0010 PatientName": "A",
    "0008,0008 ImageType": ["ORIGINAL", "PRIMARY"],
    "0040,0275 RequestAttributesSequence": [{"0008,0050 AccessionNumber": "1"}, {}],
    "0008,1140 ReferencedImageSequence": {"0008,1155 ReferencedSOPInstanceUID": "1.2"},
    "0009,1001": "",
}


def test_in_the_order_of_tags_with_nested_sequences() -> None:
    tree = build_tree(DOCUMENT)
    assert [node.tag for node in tree] == ["0008,0008", "0008,1140", "0009,1001", "0010,0010", "0040,0275"]
    assert tree[0].text == "ORIGINAL\\PRIMARY"
    assert tree[1].items[0][0].text == "1.2"
    assert [len(item) for item in tree[4].items] == [1, 0]
    assert tree[2].keyword == ""


def test_value_of_the_first_value() -> None:
    assert value_of(DOCUMENT, "ImageType") == "ORIGINAL"
    assert value_of(DOCUMENT, "PatientName") == "A"
    assert value_of(DOCUMENT, "RequestAttributesSequence") == ""
    assert value_of(DOCUMENT, "Absent") == ""
