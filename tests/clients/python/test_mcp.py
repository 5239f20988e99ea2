# SPDX-License-Identifier: Apache-2.0
"""The official SDK of MCP, over HTTP and over standard input and output."""

import os
import unittest

from mcp import Client, StdioServerParameters
from swarm import GATEWAY_URL, NODE_URL, PATIENCE, QUESTION, TRIES

CLIENT = os.environ.get("STARLING_CLIENT", "starling")


class Mcp(unittest.IsolatedAsyncioTestCase):
    async def speaks(self, server):
        heard = []

        async def progress(done, total, message):
            heard.append((done, total, message))

        async with Client(server) as client:
            tools = await client.list_tools()
            names = sorted(tool.name for tool in tools.tools)
            self.assertEqual(names, ["ask_swarm", "get_round", "list_agents"])
            agents = await client.call_tool("list_agents", {})
            self.assertEqual(len(agents.structured_content["agents"]), 4)

            for _ in range(TRIES):
                asked = await client.call_tool(
                    "ask_swarm",
                    {"question": QUESTION, "max_tokens": 32, "wait_seconds": 240},
                    read_timeout_seconds=PATIENCE,
                    progress_callback=progress,
                )
                if not asked.is_error:
                    break
            self.assertFalse(asked.is_error, asked)
            self.assertTrue(heard)
            self.assertEqual(asked.structured_content["phase"], "done")
            number = asked.structured_content["round"]
            shown = await client.call_tool("get_round", {"round": number})
            self.assertEqual(shown.structured_content["round"], number)

    async def test_over_http(self):
        await self.speaks(f"{GATEWAY_URL}/mcp")

    async def test_over_standard_input_and_output(self):
        arguments = ["--url", NODE_URL, "mcp", "--dev", "ferdie"]
        await self.speaks(StdioServerParameters(command=CLIENT, args=arguments))


if __name__ == "__main__":
    unittest.main()
