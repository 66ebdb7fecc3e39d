"""``inside`` holds tests for a namespace of their own; ``test_live.py`` runs them there."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("INSIDE_NAMESPACE") else ["inside/*"]
