// A node of four A100-40GB with PCIe 4 and 32 cores, 7 cores bound to each rank: the runs "A100-bound".

import { buildProfile } from "./build.js";

/** Constants fitted on 7 published runs (7B and 13B, mbs 1). */
export const a100x4Bound = buildProfile({
	name: "a100-4x-bound",
	description: "4x A100-40GB, PCIe 4, 32 cores, 7 bound to each rank",
	deviceBytes: 40 * 2 ** 30,
	hostBytes: 512 * 2 ** 30,
	specified: {
		linkGBs: 24.5,
		deviceMemoryGBs: 1400,
		networkGBs: 7.7,
		networkReduceGBs: 7.7,
		hopUs: 25,
		hostContention: 0.55,
		releaseRankMs: 0,
		pageableUploadBytes: 10,
		pageableFlushBytes: 14,
		copyTrafficBytes: 1,
		flushStall: 1,
		downscaleNs: 0.3,
		backwardLaunchRatio: 2,
	},
	fitted: {
		fetchMs: 2.5,
		deviceTflops: 195,
		launchMs: 4,
		gatherGBs: 200,
		hostGBs: 90,
		pageableFlushNs: 0.68,
		pageableUploadNs: 0.29,
		deviceAdamNs: 0.08,
		normMs: 13,
		releaseMs: 153,
		interleaveReleaseMs: 30,
		interleaveReleaseMsPerGelement: 12,
	},
});
