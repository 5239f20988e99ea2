# SPDX-License-Identifier: Apache-2.0
"""async-substrate-interface: storage, constants and typed runtime calls."""

import unittest

from async_substrate_interface import AsyncSubstrateInterface
from swarm import NODE_URL

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


def plain(found):
    return getattr(found, "value", found)


class Substrate(unittest.IsolatedAsyncioTestCase):
    async def test_storage_constants_and_runtime_calls_are_decoded(self):
        async with AsyncSubstrateInterface(NODE_URL) as chain:
            account = plain(await chain.query("System", "Account", [ALICE]))
            self.assertGreater(account["data"]["free"], 0)
            most = plain(await chain.get_constant("Rounds", "MaxRequests"))
            self.assertGreater(most, 0)
            burnt, deposit = plain(await chain.runtime_call("RoundsApi", "request_cost", [8]))
            self.assertGreater(burnt, 0)
            self.assertGreater(deposit, 0)
            agent = plain(await chain.runtime_call("RoundsApi", "agent", [ALICE]))
            self.assertTrue(agent)


if __name__ == "__main__":
    unittest.main()
