// The one place where the columns of a training iteration are named: its trace (a simulated or a real run) and its
// schedule. Apart from `schema.ts`, as decoding's columns are also the native recorder's and these are not.

/** Arrow type of a column; `text` is dictionary encoded, `text[]` a list of strings. */
export type IterationColumnType = "i32" | "f64" | "text" | "text[]";

/** One column. */
export interface IterationColumn {
	readonly type: IterationColumnType;
	/** What it holds, with unit and range; becomes Arrow field metadata. */
	readonly description: string;
	/** Whether rows may have null. */
	readonly nullable?: true;
	/** Version of the schema that brought the column; older files are read without it. Absent: the first. */
	readonly since?: number;
}

const taskColumns = {
	task_id: { type: "text", description: "Name of the task, unique in its schedule" },
	kind: { type: "text", description: "What it does" },
	phase: { type: "text", description: "forward, backward or update" },
	micro_step_index: { type: "i32", description: "Micro-step of gradient accumulation, from 0" },
	layer_index: { type: "i32", nullable: true, description: "Layer; -1 is the embedding; null for a task of no layer" },
	subgroup_id: { type: "i32", nullable: true, description: "Subgroup; null for a task of no one subgroup" },
	stream: { type: "text", description: "Lane: tasks of one stream run one at a time, in order" },
	resource: { type: "text", description: "device, host, h2d, d2h or collective" },
	num_elements: { type: "f64", description: "Parameters of this rank that it works on" },
	size_bytes: { type: "f64", description: "Bytes it moves over its link or through its processor's memory" },
} as const satisfies Record<string, IterationColumn>;

/** Columns of the tables of an iteration's trace. */
export const iterationSchema = {
	tasks: {
		...taskColumns,
		start_us: { type: "f64", description: "Start, in microseconds from the start of the iteration" },
		end_us: { type: "f64", description: "End, in microseconds from the start of the iteration" },
	},
	memory: {
		time_us: { type: "f64", description: "Moment from which the row holds, until the next row's" },
		device_bytes: { type: "f64", description: "Bytes in use on the device of one rank" },
		host_bytes: { type: "f64", description: "Bytes of host memory in use by one rank" },
	},
	residency: {
		subgroup_id: { type: "i32", description: "Subgroup" },
		place: { type: "text", description: "device or host: where its newest optimizer state could be read" },
		from_us: { type: "f64", description: "Start of the stay, in microseconds" },
		to_us: { type: "f64", description: "End of the stay, in microseconds" },
	},
	utilisation: {
		resource: { type: "text", description: "device, h2d, d2h or host-memory" },
		busy_share: { type: "f64", description: "Share of the iteration in which it worked, weighted by its load, 0 to 1" },
	},
	phases: {
		phase: { type: "text", description: "forward, backward, update, or other: what lies between and after them" },
		duration_us: { type: "f64", description: "Time on the iteration's critical line, in microseconds" },
	},
} as const satisfies Record<string, Record<string, IterationColumn>>;

/** Columns of the tables of a schedule. A buffer's use is written `buffer=content`. */
export const scheduleSchema = {
	tasks: {
		...taskColumns,
		flops: { type: "f64", description: "Floating point operations of forward and backward; otherwise 0" },
		reads: { type: "text[]", description: "What it reads: buffer=content" },
		writes: { type: "text[]", description: "What it writes: buffer=content" },
		after: { type: "text[]", description: "Tasks that must have ended, beside the one before it on its stream" },
	},
	buffers: {
		buffer_id: { type: "text", description: "Name of the buffer" },
		place: { type: "text", description: "device or host" },
		size_bytes: { type: "f64", description: "Size" },
		initial: { type: "text", nullable: true, description: "Content before the first task; null: nothing to be read" },
		final: { type: "text", nullable: true, description: "Content it must hold at the end; null: any" },
	},
} as const satisfies Record<string, Record<string, IterationColumn>>;

/** Name of a table of an iteration's trace. */
export type IterationTableName = keyof typeof iterationSchema;

/** Names of the tables of an iteration's trace, in the order in which they are saved. */
export const iterationTableNames = Object.keys(iterationSchema) as IterationTableName[];
