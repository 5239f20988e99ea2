# SPDX-License-Identifier: Apache-2.0
"""The official SDK of OpenAI and LangChain, unmodified but for the address of the gateway."""

import unittest

import openai
from langchain_openai import ChatOpenAI
from swarm import GATEWAY_URL, PATIENCE, QUESTION, patiently

BASE = f"{GATEWAY_URL}/v1"
MESSAGES = [{"role": "user", "content": QUESTION}]


class OpenAi(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=BASE, api_key="none", timeout=PATIENCE)
        self.addCleanup(self.client.close)

    def ask(self, **more):
        return self.client.chat.completions.create(
            model="starling", max_tokens=32, messages=MESSAGES, **more
        )

    def test_choices_are_the_candidates(self):
        self.assertIn("starling", [model.id for model in self.client.models.list()])
        answer = patiently(lambda: self.ask(n=2))
        details = answer.model_extra["starling"]
        self.assertIsInstance(details["round"], int)
        self.assertEqual(answer.choices[0].message.content, details["candidates"][0]["text"])

    def test_a_stream_has_progress_and_then_the_text(self):
        def stream():
            progress, text = 0, ""
            for chunk in self.ask(stream=True):
                piece = chunk.choices[0].delta.content if chunk.choices else None
                text += piece or ""
                progress += not text and "starling" in (chunk.model_extra or {})
            return progress, text

        progress, text = patiently(stream)
        self.assertGreater(progress, 0)
        self.assertTrue(text)

    def test_a_response_in_the_background_completes(self):
        # Its end comes by asking, as the SDK's own guide does it.
        def complete():
            response = self.client.responses.create(
                model="starling", input=QUESTION, max_output_tokens=32, background=True
            )
            while response.status in ("queued", "in_progress"):
                response = self.client.responses.retrieve(response.id)
            return response

        response = complete()
        self.assertIn(response.status, ("completed", "failed"))
        if response.status == "completed":
            self.assertTrue(response.output_text)

    def test_errors_have_their_class_code_and_parameter(self):
        with self.assertRaises(openai.NotFoundError) as unknown:
            self.client.models.retrieve("owl")
        self.assertEqual(unknown.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as unsupported:
            self.ask(tools=[{"type": "function", "function": {"name": "look"}}])
        self.assertEqual(unsupported.exception.code, "unsupported_parameter")
        self.assertEqual(unsupported.exception.param, "tools")


class LangChain(unittest.TestCase):
    def setUp(self):
        self.model = ChatOpenAI(
            model="starling", base_url=BASE, api_key="none", max_tokens=32, timeout=PATIENCE
        )

    def test_invoke_answers(self):
        self.assertTrue(patiently(lambda: self.model.invoke(QUESTION)).content)

    def test_stream_answers(self):
        text = patiently(lambda: "".join(c.content for c in self.model.stream(QUESTION)))
        self.assertTrue(text)


if __name__ == "__main__":
    unittest.main()
