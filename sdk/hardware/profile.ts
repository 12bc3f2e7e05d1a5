// A hardware profile: what a node can do, as named constants with unit, meaning and source. It is a plain value that a
// notebook may edit; every rate a simulation uses is derived from these and nothing else.

import { OctavoError, received } from "../errors.js";
import { nearest } from "../options.js";

/** Where a constant's value comes from. */
export type ConstantSource = "specification" | "fitted" | "measured";

/** One constant of a profile. */
export interface ProfileConstant {
	/** In the unit that `constantMeanings` names. */
	readonly value: number;
	/** Where it comes from. */
	readonly source: ConstantSource;
	/** For fitted constants: what data sheets or first looks gave, around which a calibration holds it. */
	readonly prior?: number;
}

/** Unit and meaning of every constant. All values are of one rank unless they say otherwise. */
export const constantMeanings = {
	linkGBs: ["GB/s", "copy bandwidth between host and device, each direction, pinned memory"],
	deviceMemoryGBs: ["GB/s", "device memory bandwidth, reached by attention scores and element-wise work"],
	deviceTflops: ["TFLOP/s", "rate of the matrix products of forward and backward"],
	launchMs: ["ms", "host time to enqueue one layer's forward"],
	backwardLaunchRatio: ["1", "host time to enqueue a layer's recomputation and backward, over that of its forward"],
	fetchMs: ["ms", "device idle while a layer's parameters are fetched, beside their transfer"],
	gatherGBs: ["GB/s", "collective bandwidth inside a node"],
	networkGBs: ["GB/s", "collective bandwidth between nodes, gathering parameters"],
	networkReduceGBs: ["GB/s", "collective bandwidth between nodes, reducing gradients"],
	hopUs: ["us", "latency that each further rank adds to a collective between nodes"],
	hostGBs: ["GB/s", "host memory bandwidth that a rank reaches when it is alone on the node"],
	hostContention: ["1", "slow-down of host memory that each further rank of the node adds"],
	pageableFlushNs: ["ns/parameter", "blocking gradient flush: copy to fresh pageable memory and conversion on a core"],
	pageableFlushBytes: ["B/parameter", "host memory traffic of that flush, page zeroing included"],
	flushCacheMB: ["MB", "last-level cache of a rank's cores: a gradient that fits is converted out of it"],
	flushCacheSaving: ["1", "share of the blocking flush that such a gradient saves"],
	reduceNs: ["ns/parameter", "device work on a reduced gradient: squared norm in double precision, copies"],
	pageableUploadNs: ["ns/parameter", "blocking downscale and copy up from fresh pageable memory"],
	pageableUploadBytes: ["B/parameter", "host memory traffic of that upload"],
	downscaleNs: ["ns/parameter", "downscale to bf16 in the downscale thread, into a pinned buffer"],
	deviceAdamNs: ["ns/parameter", "unscale, Adam and cast on the device"],
	copyTrafficBytes: ["1", "host memory traffic of a byte that a copy engine moves, in bytes of host work"],
	normMs: ["ms", "global gradient norm and the host's other work once an update"],
	releaseMs: ["ms", "giving cached device memory back, once a phase (published code only)"],
	releaseRankMs: ["ms", "what each further rank of the node adds to that"],
	interleaveReleaseMs: ["ms", "what an interleaved schedule's staging memory adds to that, once an iteration"],
	interleaveReleaseMsPerGelement: ["ms/Gparameter", "the same, for each parameter of a rank"],
} as const satisfies Record<string, readonly [unit: string, meaning: string]>;

/** Name of a constant. */
export type ConstantName = keyof typeof constantMeanings;

/** All names, in order. */
export const constantNames = Object.keys(constantMeanings) as ConstantName[];

/** The values alone. */
export type Constants = Readonly<Record<ConstantName, number>>;

/** A kind of node. */
export interface Profile {
	/** Name in tables and captions. */
	readonly name: string;
	/** What it stands for, for captions. */
	readonly description: string;
	/** Device memory in bytes. */
	readonly deviceBytes: number;
	/** Host memory of a node in bytes. */
	readonly hostBytes: number;
	/** Rates and costs by name; `constantMeanings` has units. */
	readonly constants: Readonly<Record<ConstantName, ProfileConstant>>;
}

const mayBeZero = new Set<ConstantName>([
	"hostContention",
	"flushCacheMB",
	"flushCacheSaving",
	"reduceNs",
	"hopUs",
	"launchMs",
	"fetchMs",
	"normMs",
	"releaseMs",
	"releaseRankMs",
	"interleaveReleaseMs",
	"interleaveReleaseMsPerGelement",
	"pageableFlushBytes",
	"pageableUploadBytes",
	"copyTrafficBytes",
]);

const sources: readonly ConstantSource[] = ["specification", "fitted", "measured"];

function refuse(message: string, where: string): never {
	throw new OctavoError("ERR_OCTAVO_PROFILE", `${message} in ${where}`);
}

function checkName(name: string, where: string): ConstantName {
	if (Object.hasOwn(constantMeanings, name)) return name as ConstantName;
	const near = nearest(name, constantNames);
	return refuse(`Expected a known constant but received ${name}${near ? ` (did you mean ${near}?)` : ""}`, where);
}

function checkValue(name: ConstantName, value: unknown, where: string): number {
	const isNumber = typeof value === "number" && Number.isFinite(value);
	if (isNumber && (mayBeZero.has(name) ? value >= 0 : value > 0)) return value;
	const [unit] = constantMeanings[name];
	const least = mayBeZero.has(name) ? "at least 0" : "above 0";
	return refuse(`Expected a number ${least} (${unit}) for ${name} but received ${received(value)}`, where);
}

/**
 * The values of a profile, checked.
 *
 * @throws {OctavoError} ERR_OCTAVO_PROFILE naming the constant when one is missing, unknown, not a number, negative, or
 * zero where that is no rate
 */
export function constantsOf(profile: Profile): Constants {
	if (typeof profile?.constants !== "object" || profile.constants === null) {
		const expected = "a profile, such as hardware.profileByName() gives,";
		throw new OctavoError("ERR_OCTAVO_PROFILE", `Expected ${expected} but received ${received(profile)}`);
	}
	const where = `profile ${received(profile.name)}`;
	for (const name of Object.keys(profile.constants)) checkName(name, where);
	const values = constantNames.map((name) => [name, checkValue(name, profile.constants[name]?.value, where)] as const);
	for (const name of ["deviceBytes", "hostBytes"] as const) {
		if (!(profile[name] > 0))
			refuse(`Expected bytes above 0 for ${name} but received ${received(profile[name])}`, where);
	}
	return Object.fromEntries(values) as Record<ConstantName, number>;
}

/**
 * The same profile with other values for some constants.
 *
 * @param values by name, in the units of `constantMeanings`
 * @param source where they come from. Default `"measured"`
 * @throws {OctavoError} ERR_OCTAVO_PROFILE naming the constant when one is unknown, not a number, negative, or zero where
 * that is no rate; or the profile or source that is none
 */
export function withConstants(
	profile: Profile,
	values: Partial<Constants>,
	source: ConstantSource = "measured",
): Profile {
	constantsOf(profile);
	const where = "the values of withConstants()";
	if (typeof values !== "object" || values === null)
		refuse(`Expected an object but received ${received(values)}`, where);
	if (!sources.includes(source)) {
		refuse(`Expected ${sources.join(", ")} for source but received ${received(source)}`, "the call of withConstants()");
	}
	const changed = Object.entries(values).map(([name, value]) => {
		const known = checkName(name, where);
		const prior = profile.constants[known].prior;
		return [
			known,
			{ value: checkValue(known, value, where), source, ...(prior === undefined ? {} : { prior }) },
		] as const;
	});
	return { ...profile, constants: { ...profile.constants, ...Object.fromEntries(changed) } };
}

/** Host memory bandwidth of one rank in bytes a microsecond, when all ranks of its node work. */
export function hostBytesPerUs(constants: Constants, numRanks: number): number {
	return (constants.hostGBs * 1e3) / (1 + constants.hostContention * (numRanks - 1));
}
