// The JSON shapes of the messages that a kernel sends, as the Jupyter messaging documentation (protocol 5.4, 5.5 where it
// adds to it) publishes them. A field that is not listed is a violation, so that a misspelt optional field is found too.

/** Says what is wrong with a value; undefined when nothing is. */
export type Check = (value: unknown, path: string) => string | undefined;

type Fields = Record<string, Check>;

const is =
	(what: string, test: (value: unknown) => boolean): Check =>
	(value, path) =>
		test(value) ? undefined : `${path} is no ${what}: ${JSON.stringify(value)?.slice(0, 80)}`;

const isDict = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

const text = is("text", (value) => typeof value === "string");
const flag = is("boolean", (value) => typeof value === "boolean");
const count = is("count", (value) => Number.isSafeInteger(value) && (value as number) >= 0);
const dict = is("dictionary", isDict);
const anything: Check = () => undefined;
const oneOf = (...values: unknown[]) => is(`one of ${values.join(", ")}`, (value) => values.includes(value));
const date = is(
	"ISO 8601 time with a zone",
	(value) =>
		/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/.test(String(value)) &&
		!Number.isNaN(Date.parse(String(value))),
);

/** A list of what passes a check. */
const listOf =
	(item: Check): Check =>
	(value, path) => {
		if (!Array.isArray(value)) return `${path} is no list`;
		for (const [i, one] of value.entries()) {
			const wrong = item(one, `${path}[${i}]`);
			if (wrong) return wrong;
		}
		return undefined;
	};

/** A dictionary with values that pass a check. */
const dictOf =
	(item: Check): Check =>
	(value, path) => {
		if (!isDict(value)) return `${path} is no dictionary`;
		for (const [key, one] of Object.entries(value)) {
			const wrong = item(one, `${path}[${JSON.stringify(key)}]`);
			if (wrong) return wrong;
		}
		return undefined;
	};

/** A dictionary with just these fields. */
const fields =
	(required: Fields, optional: Fields = {}): Check =>
	(value, path) => {
		if (!isDict(value)) return `${path} is no dictionary`;
		const absent = Object.keys(required).find((name) => !(name in value));
		if (absent !== undefined) return `${path}.${absent} is absent`;
		for (const [name, one] of Object.entries(value)) {
			const check = required[name] ?? optional[name];
			if (!check) return `${path}.${name} is no field of this message`;
			const wrong = check(one, `${path}.${name}`);
			if (wrong) return wrong;
		}
		return undefined;
	};

/** Chooses a check by the value's `status`. */
const byStatus =
	(checks: Record<string, Check>): Check =>
	(value, path) => {
		const status = isDict(value) ? String(value.status) : "absent";
		return Object.hasOwn(checks, status) ? checks[status]!(value, path) : `${path}.status is ${status}`;
	};

const mimeBundle: Check = (value, path) => {
	if (!isDict(value)) return `${path} is no MIME bundle`;
	for (const [type, data] of Object.entries(value)) {
		if (!/^[a-z]+\/[\w.+-]+(; ?[\w=.-]+)*$/i.test(type)) return `${path}: ${type} is no MIME type`;
		// nbformat: JSON types hold any JSON, every other type text.
		const isJson = /^application\/(.*\+)?json$/i.test(type.split(";")[0]!);
		if (!isJson && typeof data !== "string") return `${path}[${type}] is no text`;
	}
	return undefined;
};

const failure: Fields = { ename: text, evalue: text, traceback: listOf(text) };
const status = (name: string) => ({ status: oneOf(name) });
const failed = fields({ ...status("error"), ...failure });
/** A reply that is ok with these fields, or an error. */
const reply = (required: Fields, optional: Fields = {}) =>
	byStatus({ ok: fields({ ...status("ok"), ...required }, optional), error: failed });

const expression = byStatus({ ok: fields({ ...status("ok"), data: mimeBundle, metadata: dict }), error: failed });
const display: Fields = { data: mimeBundle, metadata: dict };
const transient = fields({}, { display_id: text });
const historyEntry: Check = (value, path) => {
	const [session, line, entry, ...rest] = Array.isArray(value) ? value : [];
	const isPair = Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "string";
	const isOk =
		Number.isInteger(session) && Number.isInteger(line) && (typeof entry === "string" || isPair) && !rest.length;
	return isOk ? undefined : `${path} is no [session, line, input] or [session, line, [input, output]]`;
};
const languageInfo = fields(
	{
		name: text,
		version: text,
		mimetype: text,
		file_extension: is("extension", (value) => /^\.\w+$/.test(String(value))),
	},
	{ pygments_lexer: text, codemirror_mode: anything, nbconvert_exporter: text },
);
const protocolVersion = is("version", (value) => /^5\.\d+$/.test(String(value)));

/** Contents by message type. A type that is absent is none that a kernel sends. */
export const contentShapes: Readonly<Record<string, Check>> = {
	status: fields({ execution_state: oneOf("busy", "idle", "starting") }),
	stream: fields({ name: oneOf("stdout", "stderr"), text }),
	display_data: fields(display, { transient }),
	update_display_data: fields({ ...display, transient: fields({ display_id: text }) }),
	execute_input: fields({ code: text, execution_count: count }),
	execute_result: fields({ ...display, execution_count: count }, { transient }),
	error: fields(failure),
	clear_output: fields({ wait: flag }),
	// The documentation shows a dictionary as data; cells may send any JSON.
	comm_open: fields({ comm_id: text, target_name: text, data: anything }, { target_module: text }),
	comm_msg: fields({ comm_id: text, data: anything }),
	comm_close: fields({ comm_id: text, data: anything }),
	debug_event: fields({ type: oneOf("event"), seq: count, event: text }, { body: dict }),
	iopub_welcome: fields({ subscription: text }),
	input_request: fields({ prompt: text, password: flag }),
	execute_reply: byStatus({
		ok: fields(
			{ ...status("ok"), execution_count: count },
			{ user_expressions: dictOf(expression), payload: listOf(dict) },
		),
		error: fields(
			{ ...status("error"), ...failure, execution_count: count },
			{ user_expressions: dictOf(expression), payload: listOf(dict) },
		),
		aborted: fields(status("aborted"), { execution_count: count }),
	}),
	inspect_reply: reply({ found: flag, data: mimeBundle, metadata: dict }),
	complete_reply: reply({ matches: listOf(text), cursor_start: count, cursor_end: count, metadata: dict }),
	history_reply: reply({ history: listOf(historyEntry) }),
	is_complete_reply: byStatus({
		complete: fields(status("complete")),
		incomplete: fields({ ...status("incomplete"), indent: is("indent", (value) => /^[ \t]*$/.test(String(value))) }),
		invalid: fields(status("invalid")),
		unknown: fields(status("unknown")),
		error: failed,
	}),
	kernel_info_reply: reply(
		{
			protocol_version: protocolVersion,
			implementation: text,
			implementation_version: text,
			language_info: languageInfo,
			banner: text,
		},
		{ debugger: flag, help_links: listOf(fields({ text, url: text })), supported_features: listOf(text) },
	),
	comm_info_reply: reply({ comms: dictOf(fields({ target_name: text })) }),
	shutdown_reply: reply({ restart: flag }),
	interrupt_reply: reply({}),
	create_subshell_reply: reply({ subshell_id: text }),
	delete_subshell_reply: reply({}),
	list_subshell_reply: reply({ subshell_id: listOf(text) }),
	// A response of the Debug Adapter Protocol; every reply of Jupyter's has a status besides.
	debug_reply: fields(
		{ type: oneOf("response"), request_seq: count, success: flag, command: text, seq: count },
		{ status: oneOf("ok", "error"), message: text, body: anything, ...failure },
	),
};

/** The header of every message. */
export const headerShape = fields({
	msg_id: text,
	msg_type: text,
	session: text,
	username: text,
	date,
	version: protocolVersion,
});

/** The channels on which a type of message comes. */
export function channelsOf(type: string): readonly string[] {
	if (type === "input_request") return ["stdin"];
	if (type === "shutdown_reply") return ["shell", "control", "iopub"];
	if (/^(debug|interrupt)_reply$/.test(type)) return ["shell", "control"];
	return type.endsWith("_reply") ? ["shell", "control"] : ["iopub"];
}
