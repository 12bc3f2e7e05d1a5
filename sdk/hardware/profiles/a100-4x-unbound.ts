// The same A100 node with host cores left to the operating system: the runs "A100-unbound".

import { buildProfile } from "./build.js";

/** Constants fitted on 12 published runs (7B, mbs 4, one to eight ranks). */
export const a100x4Unbound = buildProfile({
	name: "a100-4x-unbound",
	description: "4x A100-40GB, PCIe 4, 32 cores, not bound",
	deviceBytes: 40 * 2 ** 30,
	hostBytes: 512 * 2 ** 30,
	specified: {
		flushCacheMB: 32,
		flushCacheSaving: 0.2,
		linkGBs: 24.5,
		deviceMemoryGBs: 1400,
		hopUs: 25,
		copyTrafficBytes: 1,
		downscaleNs: 0.3,
		backwardLaunchRatio: 2,
		interleaveReleaseMs: 0,
		interleaveReleaseMsPerGelement: 0,
		pageableUploadNs: 0.1,
	},
	fitted: {
		launchMs: [5, 5],
		gatherGBs: [127.6, 200],
		reduceNs: [0.02147, 0.01],
		fetchMs: [3.518, 2.5],
		deviceTflops: [270.1, 220],
		networkGBs: [6.486, 7.7],
		networkReduceGBs: [6.63, 7.7],
		hostGBs: [72.33, 75],
		hostContention: [0.6524, 0.62],
		pageableFlushNs: [0.793, 0.79],
		pageableFlushBytes: [23.93, 25],
		pageableUploadBytes: [13.47, 14],
		deviceAdamNs: [0.1986, 0.09],
		normMs: [17.06, 13],
		releaseMs: [126.8, 128],
		releaseRankMs: [15.24, 19],
	},
});
