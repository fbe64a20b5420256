"""DICOMweb (PS3.18) over what one user may download: searches, retrieval, rendering, storing.

Nothing here decides what somebody may see: every answer is made of the instances that match the query tree of the
user's access (:class:`website.permissions.Access`), and of nothing else.
"""
