// A node of four H100-80GB with PCIe 5 and two sockets of 48 cores, host cores bound: the runs "H100-bound".

import { buildProfile } from "./build.js";

/** Constants fitted on 9 published runs (7B and 20B, mbs 1); the others are of data sheets or have no effect there. */
export const h100x4 = buildProfile({
	name: "h100-4x",
	description: "4x H100-80GB, PCIe 5, two sockets, bound cores",
	deviceBytes: 80 * 2 ** 30,
	hostBytes: 512 * 2 ** 30,
	specified: {
		fetchMs: 0,
		linkGBs: 55.2,
		deviceMemoryGBs: 3000,
		networkGBs: 25,
		networkReduceGBs: 25,
		hopUs: 25,
		hostContention: 0.33,
		releaseRankMs: 0,
		pageableUploadBytes: 10,
		pageableFlushBytes: 14,
		copyTrafficBytes: 1,
		flushStall: 1,
	},
	fitted: {
		deviceTflops: 420,
		launchMs: 4,
		backwardLaunchRatio: 2,
		gatherGBs: 250,
		hostGBs: 220,
		pageableFlushNs: 0.93,
		pageableUploadNs: 0.25,
		downscaleNs: 0.3,
		deviceAdamNs: 0.036,
		normMs: 13,
		releaseMs: 113,
		interleaveReleaseMs: 75,
		interleaveReleaseMsPerGelement: 25,
	},
});
