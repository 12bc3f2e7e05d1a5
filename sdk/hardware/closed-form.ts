// The performance model in closed form: what a stride of the interleaved update takes if copies do not slow the host
// down. They do (they share the host's memory), so it is 25 to 55 % too fast on real runs; the simulator is not.

import { OctavoError, received } from "../errors.js";
import { constantsOf, hostBytesPerUs, type Profile } from "./profile.js";

/** Rates of one rank in parameters a second, and how the copies are arranged. */
export interface ClosedFormRates {
	/** Copies of fp32 parameters in one direction: bytes a second over 4. */
	readonly link: number;
	/** Parameters a second that the device updates. */
	readonly deviceUpdate: number;
	/** Parameters a second that the host updates. */
	readonly hostUpdate: number;
	/** Parameters a second that the host downscales to bf16. */
	readonly downscale: number;
	/** 1 when both directions overlap, 2 when one serial stream carries both. Default 1. */
	readonly duplex?: 1 | 2;
}

/** Time of one stride, in seconds. */
export interface StridePeriod {
	/** What the host's side of a stride takes, in seconds. */
	readonly hostSeconds: number;
	/** What the device's side takes, in seconds. */
	readonly deviceSeconds: number;
	/** The longer of both. */
	readonly periodSeconds: number;
}

function requireAtLeastOne(name: string, value: number): void {
	if (value >= 1 && value < Number.POSITIVE_INFINITY) return;
	throw new OctavoError(
		"ERR_OCTAVO_OPTION",
		`Expected a number, at least 1, for ${name} but received ${received(value)}`,
	);
}

/**
 * Rates of a profile for one rank of a node on which `numRanks` work.
 *
 * @throws {OctavoError} ERR_OCTAVO_PROFILE; ERR_OCTAVO_OPTION for less than one rank
 */
export function closedFormRates(profile: Profile, numRanks: number): ClosedFormRates {
	const constants = constantsOf(profile);
	requireAtLeastOne("numRanks", numRanks);
	return {
		link: (constants.linkGBs * 1e9) / 4,
		deviceUpdate: 1e9 / constants.deviceAdamNs,
		hostUpdate: (hostBytesPerUs(constants, numRanks) * 1e6) / 36,
		downscale: 1e9 / constants.downscaleNs,
	};
}

/**
 * Time of one stride: k - 1 subgroups on the host, one on the device.
 *
 * @param stride k, at least 1
 * @param subgroupElements size of a subgroup in parameters
 * @throws {OctavoError} ERR_OCTAVO_PROFILE when a rate is not above 0; ERR_OCTAVO_OPTION for a stride or size below 1
 */
export function stridePeriod(rates: ClosedFormRates, stride: number, subgroupElements: number): StridePeriod {
	for (const name of ["link", "deviceUpdate", "hostUpdate", "downscale"] as const) {
		if (rates[name] > 0) continue;
		throw new OctavoError(
			"ERR_OCTAVO_PROFILE",
			`Expected a rate above 0 for ${name} but received ${received(rates[name])}`,
		);
	}
	requireAtLeastOne("stride", stride);
	requireAtLeastOne("subgroupElements", subgroupElements);
	const { link, deviceUpdate, hostUpdate, downscale, duplex = 1 } = rates;
	const onHost = (stride - 1) * subgroupElements;
	const hostSeconds = onHost * (1 / hostUpdate + 1 / downscale);
	const deviceSeconds = subgroupElements * ((3 * duplex) / link + 1 / deviceUpdate) + onHost / (2 * link);
	return { hostSeconds, deviceSeconds, periodSeconds: Math.max(hostSeconds, deviceSeconds) };
}

/**
 * The stride at which host and device take equally long, rounded up: k* = 1 + ⌈(3d/B + 1/Ug) / (1/Uc + 1/Dc - 1/(2B))⌉.
 * Infinity when copying up what the host updates already takes longer than updating it.
 *
 * @param numRanks ranks of the node that work at the same time, at least 1; default 4
 */
export function optimalStride(profile: Profile, numRanks = 4, duplex: 1 | 2 = 1): number {
	const { link, deviceUpdate, hostUpdate, downscale } = closedFormRates(profile, numRanks);
	const visit = (3 * duplex) / link + 1 / deviceUpdate;
	const perHostSubgroup = 1 / hostUpdate + 1 / downscale - 1 / (2 * link);
	return perHostSubgroup > 0 ? 1 + Math.ceil(visit / perHostSubgroup) : Number.POSITIVE_INFINITY;
}
