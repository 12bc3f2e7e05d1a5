// Chat templates in the shapes that models come with: what they make of tools, calls, results and wrong conversations. Expected
// texts are worked out by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChatMessage, ChatTemplate } from "../sdk/model/chat-template.js";

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
const conversation: ChatMessage[] = [
	{ role: "system", content: " Be brief. " },
	{ role: "user", content: "Rain in Oslo?" },
	{ role: "assistant", content: null, tool_calls: [{ function: { name: "weather", arguments: { city: "Oslo" } } }] },
	{ role: "tool", content: "21 °C" },
];

// As Llama 3.1's: variables that may be defined, the date, slices, filters, indented JSON, a refusal.
const llama = `{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set first = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set first = "" %}
{%- endif %}
{{- "[system] " + date_string + ": " + first }}
{%- if tools is not none %}
    {%- for tool in tools %}
        {{- "\\n" + (tool | tojson(indent=2)) }}
    {%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '\\n[assistant] {"name": "' + call.name + '", "parameters": ' }}{{- call.arguments | tojson }}{{- "}" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "\\n[ipython] " }}{{- message.content | tojson }}
    {%- else %}
        {{- '\\n[' + message['role'] + '] ' + message['content'] | trim }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '\\n[assistant] ' }}{%- endif %}`;

// As Qwen 2.5's: a namespace, loop variables, the turn before, several calls a turn.
const qwen = `{%- set ns = namespace(last='') %}
{%- for message in messages %}
    {%- if loop.first and message.role != 'system' %}{{- '<system>You help.\\n' }}{%- endif %}
    {%- if message.role == 'tool' %}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}{{- '<user>' }}{%- endif %}
        {{- '<result>' + message.content + '</result>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '\\n' }}{%- endif %}
    {%- elif message.tool_calls %}
        {{- '<' + message.role + '>' }}{%- if message.content %}{{- message.content }}{%- endif %}
        {%- for call in message.tool_calls %}
            {%- if call.function is defined %}{%- set call = call.function %}{%- endif %}
            {{- '<call>' + call.name + ' ' }}{{- call.arguments | tojson }}{{- '</call>' }}
        {%- endfor %}
        {{- '\\n' }}
    {%- else %}
        {{- '<' + message.role + '>' + message.content + '\\n' }}
    {%- endif %}
    {%- set ns.last = message.role %}
{%- endfor %}
{%- if add_generation_prompt and ns.last != 'assistant' %}{{- '<assistant>' }}{%- endif %}`;

test("a template of Llama 3.1's shape: date, tools, a call, its result", () => {
	const template = new ChatTemplate(llama, { bos_token: "<B>" });
	const variables = { date_string: "26 Jul 2024" };
	assert.equal(
		template.render(conversation, { tools, variables }),
		`<B>[system] 26 Jul 2024: Be brief.
{
  "type": "function",
  "function": {
    "name": "weather",
    "parameters": {
      "type": "object"
    }
  }
}
[user] Rain in Oslo?
[assistant] {"name": "weather", "parameters": {"city": "Oslo"}}
[ipython] "21 °C"
[assistant] `,
	);
	assert.equal(
		template.render([{ role: "user", content: "Hi " }], { variables, addGenerationPrompt: false }),
		"<B>[system] 26 Jul 2024: \n[user] Hi",
	);
	assert.match(template.render([{ role: "user", content: "Hi" }]), /^<B>\[system\] \d\d [A-Z][a-z]{2} \d{4}: \n/);
});

test("a template of Qwen 2.5's shape: neighbours in the loop, several calls and results in a turn", () => {
	const template = new ChatTemplate(qwen, {});
	const call = (city: string) => ({ function: { name: "weather", arguments: { city } } });
	const messages: ChatMessage[] = [
		{ role: "user", content: "Rain?" },
		{ role: "assistant", tool_calls: [call("Oslo"), { name: "now", arguments: {} }] },
		{ role: "tool", content: "no" },
		{ role: "tool", content: "noon" },
	];
	assert.equal(
		template.render(messages),
		`<system>You help.
<user>Rain?
<assistant><call>weather {"city": "Oslo"}</call><call>now {}</call>
<user><result>no</result><result>noon</result>
<assistant>`,
	);
});

test("what a template refuses, and what it cannot read, is an error with its words", () => {
	const template = new ChatTemplate(llama, { bos_token: "" });
	const refused = (message: RegExp) => ({ code: "ERR_OCTAVO_TOKENIZER", message });
	const twice = { role: "assistant", tool_calls: [{}, {}] };
	assert.throws(() => template.render([{ role: "user", content: "x" }, twice]), refused(/One call at a time!/));
	assert.throws(() => template.render([{ role: "user" }]), refused(/but it says: .*trim/));
	assert.throws(
		() => template.render([{ content: "x" } as never]),
		refused(/role for messages\[0\] but received undefined/),
	);
	assert.throws(() => new ChatTemplate("{% for x in %}", {}), refused(/chat template in Jinja but received/));
});
