// A node of four H100-80GB with PCIe 5 and two sockets of 48 cores, host cores bound: the runs "H100-bound".

import { buildProfile } from "./build.js";

/** Constants fitted on 9 published runs (7B and 20B, mbs 1); the others are of data sheets or have no effect there. */
export const h100x4 = buildProfile({
	name: "h100-4x",
	description: "4x H100-80GB, PCIe 5, two sockets, bound cores",
	deviceBytes: 80 * 2 ** 30,
	hostBytes: 512 * 2 ** 30,
	specified: {
		flushCacheMB: 26,
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
	},
	fitted: {
		flushCacheSaving: [0.2599, 0.2],
		reduceNs: [0.02386, 0.02],
		deviceTflops: [495.2, 450],
		launchMs: [4.271, 4],
		backwardLaunchRatio: [1.944, 2],
		gatherGBs: [382.2, 250],
		hostGBs: [212.7, 215],
		pageableFlushNs: [1.107, 1.1],
		pageableUploadNs: [0.2578, 0.26],
		downscaleNs: [0.2553, 0.15],
		deviceAdamNs: [0.02684, 0.036],
		normMs: [7.27, 6],
		releaseMs: [115.3, 113],
		interleaveReleaseMs: [68.72, 75],
		interleaveReleaseMsPerGelement: [28.03, 25],
	},
});
