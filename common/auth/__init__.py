"""Who is asking: logins, sessions, API tokens, and the groups that a verified login told.

Both sides use it, each on its own schema: the portal (``research``) and the console of the ingest side
(``ingest``). Nothing here knows what somebody *may* do.
"""
