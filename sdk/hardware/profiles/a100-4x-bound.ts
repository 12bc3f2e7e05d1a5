// A node of four A100-40GB with PCIe 4 and 32 cores, 7 cores bound to each rank: the runs "A100-bound".

import { buildProfile } from "./build.js";

/** Constants fitted on 7 published runs (7B and 13B, mbs 1). */
export const a100x4Bound = buildProfile({
	name: "a100-4x-bound",
	description: "4x A100-40GB, PCIe 4, 32 cores, 7 bound to each rank",
	deviceBytes: 40 * 2 ** 30,
	hostBytes: 512 * 2 ** 30,
	specified: {
		flushCacheMB: 32,
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
		downscaleNs: 0.3,
		backwardLaunchRatio: 2,
	},
	fitted: {
		flushCacheSaving: [0.1821, 0.2],
		reduceNs: [0.02147, 0.01],
		fetchMs: [0.9043, 2],
		deviceTflops: [270.1, 220],
		launchMs: [5, 5],
		gatherGBs: [127.6, 200],
		hostGBs: [100, 95],
		pageableFlushNs: [0.7716, 0.77],
		pageableUploadNs: [0.3849, 0.35],
		deviceAdamNs: [0.1986, 0.09],
		normMs: [14.28, 13],
		releaseMs: [164.8, 153],
		interleaveReleaseMs: [23.98, 30],
		interleaveReleaseMsPerGelement: [10.8, 12],
	},
});
