"""How events are registered: the settings they share, and what the browser does by itself."""

from typing import Any

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""No spinner over the page, and no public address."""

LIGHT: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "light", **QUIET}
"""For what takes moments; what needs the model stands in a line of its own."""

IN_BROWSER: dict[str, Any] = {"fn": None, "queue": False, "trigger_mode": "multiple", **QUIET}
"""For a step without the server; `js` says what it does."""

# The scripts, each from `page.js` or `hands_free.js`.
NOTHING = "() => []"
BEGUN = "(...values) => window.audiochat.acts.begin(values)"
SENDING = "(...values) => window.audiochat.acts.begin(values, true)"
ENDED = "() => window.audiochat.acts.end()"
ARRIVED = "() => window.audiochat.arrived()"
ASKED = "() => window.audiochat.talk.asked"
NAMED = "() => window.audiochat.tab()"
BY_NAME = "(...values) => window.audiochat.named(values)"
