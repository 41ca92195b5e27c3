"""Questions with the stock Python client. Prints what it was answered, as JSON."""

import json
import sys

import openai

client = openai.OpenAI(max_retries=2)  # OPENAI_BASE_URL and OPENAI_API_KEY
call_id = sys.argv[1]
asked = {"model": "base", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
on = {"logit_bias": {"0": -100}}
tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
calling = {**asked, "tools": [tool], "logit_bias": {call_id: 100}, "max_tokens": 2}

whole = client.chat.completions.create(**asked, **on, temperature=0, logprobs=True, top_logprobs=2)
streamed = ""
usage = None
for chunk in client.chat.completions.create(
    **asked, **on, temperature=0, stream=True, stream_options={"include_usage": True}
):
    streamed += chunk.choices[0].delta.content or "" if chunk.choices else ""
    usage = chunk.usage

calls = client.chat.completions.create(**calling).choices[0].message.tool_calls
with client.chat.completions.stream(**{**calling, "max_tokens": 9}, parallel_tool_calls=False) as stream:
    kinds = [event.type for event in stream]
    done = stream.get_final_completion().choices[0].message.tool_calls
helped = [call.function.arguments for call in done] + [kinds.count("tool_calls.function.arguments.done")]
back = client.chat.completions.create(
    **{**asked, "max_tokens": 1},
    tools=[tool],
)
again = client.chat.completions.create(
    model="base",
    max_tokens=1,
    tools=[tool],
    messages=[
        *asked["messages"],
        {"role": "assistant", "tool_calls": [call.model_dump() for call in calls]},
        *[{"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in calls],
    ],
)
first = client.chat.completions.create(**{**calling, "max_tokens": 9}, parallel_tool_calls=False).choices[0]

one = client.chat.completions.create(**asked, seed=5, n=3).choices
two = client.chat.completions.create(**asked, seed=5, n=3).choices

drawn = client.chat.completions.create(
    **{**asked, "max_tokens": 40}, response_format={"type": "json_object"}, seed=1, n=4, logit_bias={"5": 8, "96": 12}
)
objects = [json.loads(choice.message.content) for choice in drawn.choices if choice.finish_reason == "stop"]

text = client.completions.create(model="base", prompt=[[5, 6], [7]], echo=True, logprobs=1, max_tokens=1)
left = client.completions.create(model="base", prompt="Hello", max_tokens=100, stream=True, **on)
for chunk in left:
    left.close()
    break


def refused(ask, kind):
    try:
        ask()
        return None
    except kind as error:
        return [error.status_code, error.code, error.param, bool(error.request_id)]


print(
    json.dumps(
        {
            "streamed": streamed == whole.choices[0].message.content,
            "usage": usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) == whole.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}),
            "logprobs": [len(token.top_logprobs) for token in whole.choices[0].logprobs.content],
            "calls": [[call.type, call.function.name, call.function.arguments] for call in calls],
            "helped": helped,
            "again": again.choices[0].message.role,
            "back": back.usage.completion_tokens,
            "first": [first.finish_reason, len(first.message.tool_calls)],
            "seed": [c.message.content for c in one] == [c.message.content for c in two],
            "answers": len({c.message.content for c in one}),
            "objects": len(objects) > 0 and all(isinstance(value, dict) for value in objects),
            "echo": [[choice.logprobs.token_logprobs[0], len(choice.logprobs.tokens)] for choice in text.choices],
            "models": [model.id for model in client.models.list()],
            "model": refused(lambda: client.chat.completions.create(**{**asked, "model": "bse"}), openai.NotFoundError),
            "value": refused(lambda: client.chat.completions.create(**asked, temperature=3), openai.BadRequestError),
            "schema": refused(
                lambda: client.chat.completions.create(
                    **asked, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
                ),
                openai.BadRequestError,
            ),
            "key": refused(lambda: client.with_options(api_key="x").models.list(), openai.AuthenticationError),
        }
    )
)
