# SPDX-License-Identifier: Apache-2.0
"""The running swarm at STARLING_URL, and the gateway at STARLING_GATEWAY."""

import os

NODE_URL = os.environ.get("STARLING_URL", "ws://127.0.0.1:9944")
GATEWAY_URL = os.environ.get("STARLING_GATEWAY", "http://127.0.0.1:8042")
QUESTION = "Why is the sky blue?"
PATIENCE = 300
# A swarm may find no answer good enough; it says so, and one asks again.
TRIES = 3


def patiently(ask):
    """Asks again where the swarm found no answer good enough."""
    for left in reversed(range(TRIES)):
        try:
            return ask()
        except Exception as error:
            code = getattr(error, "code", None) or ""
            if left == 0 or not code.startswith("below_"):
                raise
