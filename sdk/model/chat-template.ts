// A model's chat template, in Jinja: turns messages into the text that the model was trained on. Templates come from
// strangers; they are interpreted by a library that gives them no access to files, network or this program.

import { Template } from "@huggingface/jinja";
import { OctavoError, received } from "../errors.js";
import { anything, boolean, checkOptions } from "../options.js";

/** One turn of a conversation; a template may read further fields. */
export interface ChatMessage {
	/** As the template knows them: `system`, `user`, `assistant`, … */
	role: string;
	/** Text; of a turn that only calls tools null or nothing, and a list of parts where the template knows them. */
	content?: string | null | readonly unknown[];
	[field: string]: unknown;
}

/** What a template is given beside the messages. */
export interface ChatOptions {
	/** Ends with the opening of the assistant's turn, so that the model answers. Default true. */
	addGenerationPrompt?: boolean;
	/** Tools that the model may call, as JSON schemas. Default none. */
	tools?: readonly unknown[];
	/** Further variables by the names that the template uses, such as Llama 3's `date_string`, which is today otherwise. */
	variables?: Record<string, unknown>;
}

function fail(message: string, cause?: unknown): never {
	throw new OctavoError("ERR_OCTAVO_TOKENIZER", message, { cause });
}

/** A parsed template. */
export class ChatTemplate {
	readonly #template: Template;
	readonly #variables: Record<string, string>;

	/**
	 * @param source Jinja
	 * @param variables strings that the template may use: `bos_token`, `eos_token`, …
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for a template that does not parse
	 */
	constructor(source: string, variables: Record<string, string>) {
		try {
			this.#template = new Template(source);
		} catch (error) {
			fail(`Expected a chat template in Jinja but received: ${(error as Error).message}`, error);
		}
		this.#variables = variables;
	}

	/**
	 * Text of a conversation.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_TOKENIZER for messages that are none, or that the template refuses;
	 * ERR_OCTAVO_OPTION naming an option
	 */
	render(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
		const { addGenerationPrompt, tools, variables } = checkOptions("applyChatTemplate()", options, {
			addGenerationPrompt: boolean(true),
			tools: anything,
			variables: anything,
		});
		if (!Array.isArray(messages)) fail(`Expected an array of messages but received ${received(messages)}`);
		for (const [i, message] of messages.entries()) {
			if (typeof message?.role !== "string") {
				fail(`Expected a role for messages[${i}] but received ${received(message?.role)}`);
			}
		}
		try {
			return this.#template.render({
				...this.#variables,
				...(variables as Record<string, unknown> | undefined),
				messages,
				tools: tools ?? null,
				add_generation_prompt: addGenerationPrompt,
			});
		} catch (error) {
			fail(`Expected messages that fit the model's chat template but it says: ${(error as Error).message}`, error);
		}
	}
}
