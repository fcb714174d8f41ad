import { HealthCheckResponse_ServingStatus as ServingStatus } from "@coordination-signals/proto/grpc/health/v1/health";
import { describe, expect, test } from "@jest/globals";
import { HealthState } from "../../../../server/src/wire/health-state.js";

describe("HealthState", () => {
  test("serves nothing before it is said", () => {
    expect(new HealthState(["a.B"]).status("")).toBe(ServingStatus.NOT_SERVING);
  });

  test("has one status for the server and each service, and none for others", () => {
    const state = new HealthState(["a.B"]);
    state.setServing(true);
    expect(["", "a.B", "a.C"].map((name) => state.status(name))).toEqual([
      ServingStatus.SERVING,
      ServingStatus.SERVING,
      undefined,
    ]);
  });

  test("wakes its watchers at a change", async () => {
    const state = new HealthState([]);
    const changes = [state.changed(new AbortController().signal), state.changed(new AbortController().signal)];
    state.setServing(true);
    await Promise.all(changes);
  });

  test("wakes a watcher that is aborted, before or while it waits", async () => {
    const state = new HealthState([]);
    await state.changed(AbortSignal.abort());
    const controller = new AbortController();
    const changed = state.changed(controller.signal);
    controller.abort();
    await changed;
  });

  test("makes nobody wait once it has ended", async () => {
    const state = new HealthState([]);
    const changed = state.changed(new AbortController().signal);
    state.end();
    await changed;
    await state.changed(new AbortController().signal);
  });
});
