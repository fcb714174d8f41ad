import { leaseExpireMs } from "../../registry/agent-state.js";
import { analyseWaits, mayHoldLoops } from "./wait-graph.js";
import { ProviderFinder } from "./wait-providers.js";
import { agentStanding, type WaitWorld, waitingAgents } from "./wait-world.js";

/**
 * When the first lease runs out that could leave agents waiting for each other, in wall clock milliseconds; undefined where no
 * agent that goes away could.
 */
export function nextLeaseEndMs(world: WaitWorld): number | undefined {
  if (!mayHoldLoops(world) || analyseWaits(world, world.waits, true).blocked.loops.length === 0) return undefined;
  const providers = new ProviderFinder(world);
  const waiting = waitingAgents(world);
  let earliestMs: number | undefined;
  for (const { conditions } of world.waits) {
    for (const agentId of conditions.flatMap((condition) => providers.named(condition) ?? [])) {
      const record = world.agent(agentId);
      if (record === undefined || agentStanding(world, agentId, waiting) !== "live") continue;
      const endMs = leaseExpireMs({ record, activity: world.activity, nowMs: world.nowMs });
      earliestMs = Math.min(earliestMs ?? endMs, endMs);
    }
  }
  return earliestMs;
}
