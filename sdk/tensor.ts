// A dense, row-major array over memory that may belong to the engine: nothing is copied unless a method says so. A view
// of a running session's cache shows later steps too; `copy()` keeps a moment.

import { Field, FixedSizeList, Float16, Float32, Int32, makeData, makeVector, type Vector } from "apache-arrow";
import type { NativeTensor } from "../native/addon.js";
import { OctavoError, received } from "./errors.js";
import { tensorToHtml, tensorToText } from "./tensor-view.js";

/** Element type. `bf16` and `f16` are kept as raw 16-bit words. */
export type TensorDType = NativeTensor["dtype"];

/** Elements of a tensor: f32, i32, and raw words of bf16 and f16. */
export type TensorData = Float32Array | Int32Array | Uint16Array;

/** Numbers that sum up a tensor. NaN elements count in `numNan` only. */
export interface TensorStats {
	/** Least element. */
	min: number;
	/** Greatest element. */
	max: number;
	/** Mean of the elements. */
	mean: number;
	/** Population standard deviation. */
	std: number;
	/** Elements that are NaN. */
	numNan: number;
}

const arrays = { f32: Float32Array, i32: Int32Array, bf16: Uint16Array, f16: Uint16Array };

/**
 * A tensor: `dtype`, `shape`, a name for each axis, and the elements.
 *
 * @example
 * ```ts
 * import { Tensor } from "octavo";
 * const tensor = new Tensor("f32", Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3], ["row", "column"]);
 * console.log(tensor.get(1, 2), tensor.at(1).shape, tensor.stats().mean);   // 6 [ 3 ] 3.5
 * ```
 */
export class Tensor {
	/** Type of the elements. */
	readonly dtype: TensorDType;
	/** Size of each axis. */
	readonly shape: readonly number[];
	/** One name an axis. */
	readonly axisNames: readonly string[];
	/** The elements, row-major: a view, not a copy. */
	readonly data: TensorData;

	/**
	 * @param data as many elements as `shape` asks for
	 * @param axisNames default `axis_0`, `axis_1`, …
	 * @throws {OctavoError} ERR_OCTAVO_TENSOR when data, shape and names do not fit each other
	 */
	constructor(dtype: TensorDType, data: TensorData, shape: readonly number[], axisNames?: readonly string[]) {
		if (!Object.hasOwn(arrays, dtype)) fail("a dtype (f32, bf16, f16 or i32)", dtype);
		if (!(data instanceof arrays[dtype])) fail(`${arrays[dtype].name} for ${dtype}`, data);
		if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) fail("whole numbers as shape", `[${shape}]`);
		const length = shape.reduce((product, size) => product * size, 1);
		if (data.length !== length) fail(`${length} elements for shape [${shape.join(", ")}]`, data.length);
		const names = axisNames ?? shape.map((_, axis) => `axis_${axis}`);
		if (names.length !== shape.length) fail(`${shape.length} axis names`, names.length);
		this.dtype = dtype;
		this.data = data;
		this.shape = Object.freeze([...shape]);
		this.axisNames = Object.freeze([...names]);
	}

	/** Wraps native memory. */
	static fromNative(tensor: NativeTensor, axisNames: readonly string[]): Tensor {
		return new Tensor(tensor.dtype, new arrays[tensor.dtype](tensor.buffer), tensor.shape, axisNames);
	}

	/** Number of elements. */
	get size(): number {
		return this.data.length;
	}

	/**
	 * The tensor at an index on the leading axes, over the same memory.
	 *
	 * @param index an index for each of the first axes, at least one axis fewer than the tensor has
	 * @throws {OctavoError} ERR_OCTAVO_TENSOR for an index out of range or too many of them
	 */
	at(...index: number[]): Tensor {
		if (index.length >= this.shape.length) fail(`at most ${this.shape.length - 1} indices`, index.length);
		const { begin, length } = this.#locate(index);
		const rest = index.length;
		return new Tensor(
			this.dtype,
			this.data.subarray(begin, begin + length),
			this.shape.slice(rest),
			this.axisNames.slice(rest),
		);
	}

	/**
	 * One element.
	 *
	 * @param index an index for every axis
	 * @throws {OctavoError} ERR_OCTAVO_TENSOR for an index out of range or a wrong number of them
	 */
	get(...index: number[]): number {
		if (index.length !== this.shape.length) fail(`${this.shape.length} indices`, index.length);
		return this.#number(this.data[this.#locate(index).begin]!);
	}

	/**
	 * Part of the first axis, over the same memory.
	 *
	 * @param begin first index; @param end index after the last, default the axis's size
	 * @throws {OctavoError} ERR_OCTAVO_TENSOR for a range outside the axis
	 */
	slice(begin: number, end: number = this.shape[0] ?? 0): Tensor {
		const [size, ...rest] = this.shape;
		const inside = Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && end >= begin;
		if (size === undefined || !inside || end > size) fail(`a range within 0 to ${size ?? 0}`, `${begin} to ${end}`);
		const row = rest.reduce((product, n) => product * n, 1);
		return new Tensor(this.dtype, this.data.subarray(begin * row, end * row), [end - begin, ...rest], this.axisNames);
	}

	/** A copy in memory of its own. */
	copy(): Tensor {
		return new Tensor(this.dtype, this.data.slice(), this.shape, this.axisNames);
	}

	/** The elements as fp32: the same memory for f32, widened copies of other dtypes. */
	toFloat32(): Float32Array {
		return this.data instanceof Float32Array ? this.data : Float32Array.from(this.data, (word) => this.#number(word));
	}

	/** An Arrow vector, nested by axis as fixed-size lists; over the same memory but for bf16, which is widened to f32. */
	toArrow(): Vector {
		const { dtype } = this;
		const type = dtype === "i32" ? new Int32() : dtype === "f16" ? new Float16() : new Float32();
		const values = dtype === "bf16" ? this.toFloat32() : this.data;
		let data = makeData({ type, length: values.length, nullCount: 0, data: values } as never);
		for (let axis = this.shape.length - 1; axis > 0; axis--) {
			const list = new FixedSizeList(this.shape[axis]!, new Field(this.axisNames[axis]!, data.type, false));
			const length = this.shape.slice(0, axis).reduce((product, size) => product * size, 1);
			data = makeData({ type: list, length, nullCount: 0, child: data } as never);
		}
		return makeVector(data);
	}

	/** Least, greatest and mean element, standard deviation, and how many are NaN. All NaN: of an empty tensor. */
	stats(): TensorStats {
		let min = Number.POSITIVE_INFINITY;
		let max = Number.NEGATIVE_INFINITY;
		let mean = 0;
		let squares = 0;
		let count = 0;
		// Welford's update: a sum of squares would cancel for a mean far from 0.
		for (const word of this.data) {
			const value = this.#number(word);
			if (Number.isNaN(value)) continue;
			min = Math.min(min, value);
			max = Math.max(max, value);
			const delta = value - mean;
			mean += delta / ++count;
			squares += delta * (value - mean);
		}
		const numNan = this.size - count;
		if (count === 0) return { min: Number.NaN, max: Number.NaN, mean: Number.NaN, std: Number.NaN, numNan };
		return { min, max, mean, std: Math.sqrt(squares / count), numNan };
	}

	#locate(index: readonly number[]): { begin: number; length: number } {
		let begin = 0;
		let length = this.size;
		for (const [axis, i] of index.entries()) {
			const size = this.shape[axis]!;
			if (!Number.isInteger(i) || i < 0 || i >= size) {
				fail(`an index from 0 to ${size - 1} on ${this.axisNames[axis]}`, i);
			}
			length /= size;
			begin += i * length;
		}
		return { begin, length };
	}

	#number(word: number): number {
		if (this.dtype === "bf16") return widenBf16(word);
		return this.dtype === "f16" ? widenF16(word) : word;
	}

	/** Shows shape, dtype, statistics and a heat map. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		return { "text/plain": tensorToText(this), "text/html": tensorToHtml(this) };
	}
}

function fail(expected: string, value: unknown): never {
	throw new OctavoError("ERR_OCTAVO_TENSOR", `Expected ${expected} but received ${received(value)}`);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function widenBf16(bits: number): number {
	word[0] = bits << 16;
	return float[0]!;
}

function widenF16(bits: number): number {
	const sign = bits & 0x8000 ? -1 : 1;
	const exponent = (bits >> 10) & 31;
	const fraction = bits & 1023;
	if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
	return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
