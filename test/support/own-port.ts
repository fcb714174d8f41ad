/**
 * Ports for servers that go away while others know their address. A port that the system has given out can be somebody
 * else's as soon as its server is gone: a client that tries again would then speak with a stranger.
 */
import { once } from "node:events";
import { createServer } from "node:net";

// Below the ports that systems give out by themselves: from 32,768 on Linux, from 49,152 elsewhere.
const firstPort = 20_000;
const portsOfProcess = 180;
const processes = 64;

let next = Math.floor(Math.random() * portsOfProcess);

/**
 * Finds a loopback port that is free, and that nobody takes while its server is away: neither the system, nor another
 * process of the same tests. In one process it is found again after 180 others. Throws an Error when all of them are taken.
 */
export async function findOwnPort(): Promise<number> {
  const start = firstPort + portsOfProcess * (processNumber() % processes);
  for (let attempt = 0; attempt < portsOfProcess; attempt += 1) {
    const port = start + (next % portsOfProcess);
    next += 1;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${start} to ${start + portsOfProcess - 1} is free`);
}

/** Different for the workers of one run of the tests, and for most other processes. */
function processNumber(): number {
  const worker = process.env["JEST_WORKER_ID"];
  return worker === undefined ? process.pid : process.ppid * 8 + Number(worker);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  probe.listen(port, "127.0.0.1");
  try {
    await once(probe, "listening");
  } catch {
    return false;
  }
  probe.close();
  await once(probe, "close");
  return true;
}
