// The same A100 node with host cores left to the operating system: the runs "A100-unbound".

import { buildProfile } from "./build.js";

/** Constants fitted on 12 published runs (7B, mbs 4, one to eight ranks). */
export const a100x4Unbound = buildProfile({
	name: "a100-4x-unbound",
	description: "4x A100-40GB, PCIe 4, 32 cores, not bound",
	deviceBytes: 40 * 2 ** 30,
	hostBytes: 512 * 2 ** 30,
	specified: {
		linkGBs: 24.5,
		deviceMemoryGBs: 1400,
		hopUs: 25,
		launchMs: 4,
		copyTrafficBytes: 1,
		flushStall: 1,
		downscaleNs: 0.3,
		backwardLaunchRatio: 2,
		interleaveReleaseMs: 10,
		interleaveReleaseMsPerGelement: 0.1,
		gatherGBs: 200,
	},
	fitted: {
		fetchMs: 2.5,
		deviceTflops: 195,
		networkGBs: 7.7,
		networkReduceGBs: 7.7,
		hostGBs: 64,
		hostContention: 0.55,
		pageableFlushNs: 0.74,
		pageableFlushBytes: 25,
		pageableUploadNs: 0.11,
		pageableUploadBytes: 12,
		deviceAdamNs: 0.08,
		normMs: 13,
		releaseMs: 125,
		releaseRankMs: 19,
	},
});
