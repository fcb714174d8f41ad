import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { MetricsCollector } from "../../../../server/src/metrics/metrics-collector.js";

function collector(): MetricsCollector {
  return new MetricsCollector({ procedures: ["coordination.v1.SignalService/SendSignal"], processMetrics: false });
}

async function linesOf(metrics: MetricsCollector): Promise<readonly string[]> {
  return (await metrics.render()).body.split("\n");
}

describe("MetricsCollector", () => {
  test("counts signals sent and received by type", async () => {
    const metrics = collector();
    metrics.signalSent(SignalType.AGENT_COMPLETED, 2);
    metrics.signalSent(SignalType.AGENT_COMPLETED, 1);
    metrics.signalReceived(SignalType.INTER_AGENT_MESSAGE, 7);
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        'coordination_signals_sent_total{signal_type="AGENT_INITIALIZED"} 0',
        'coordination_signals_sent_total{signal_type="AGENT_COMPLETED"} 3',
        'coordination_signals_sent_total{signal_type="DEPENDENCY_RESOLVED"} 0',
        'coordination_signals_sent_total{signal_type="INTER_AGENT_MESSAGE"} 0',
        'coordination_signals_received_total{signal_type="INTER_AGENT_MESSAGE"} 7',
      ]),
    );
  });

  test("renders the same totals at every scrape", async () => {
    const metrics = collector();
    metrics.signalSent(SignalType.AGENT_INITIALIZED, 5);
    expect(await linesOf(metrics)).toEqual(await linesOf(metrics));
  });

  test("records propagation in seconds, with a bound at 100 ms", async () => {
    const metrics = collector();
    metrics.propagation(3, 1);
    metrics.propagation(100, 1);
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        'coordination_signal_propagation_seconds_bucket{le="0.0025"} 0',
        'coordination_signal_propagation_seconds_bucket{le="0.005"} 1',
        'coordination_signal_propagation_seconds_bucket{le="0.1"} 2',
        "coordination_signal_propagation_seconds_count 2",
      ]),
    );
  });

  test("sums propagation in seconds", async () => {
    const metrics = collector();
    metrics.propagation(125, 2);
    expect(await linesOf(metrics)).toContain("coordination_signal_propagation_seconds_sum 0.25");
  });

  test("records commits by duration and by size", async () => {
    const metrics = collector();
    metrics.storeCommit(1.5, 64);
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        "coordination_store_commit_seconds_sum 0.0015",
        "coordination_store_commit_seconds_count 1",
        'coordination_commit_batch_signals_bucket{le="32"} 0',
        'coordination_commit_batch_signals_bucket{le="64"} 1',
      ]),
    );
  });

  test("records batches to subscribers by size", async () => {
    const metrics = collector();
    metrics.deliveryBatch(1);
    metrics.deliveryBatch(1000);
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        'coordination_delivery_batch_signals_bucket{le="1"} 1',
        'coordination_delivery_batch_signals_bucket{le="1024"} 2',
        "coordination_delivery_batch_signals_sum 1001",
      ]),
    );
  });

  test("counts errors by reason", async () => {
    const metrics = collector();
    metrics.error("CURSOR_EXPIRED");
    metrics.error("CURSOR_EXPIRED");
    expect(await linesOf(metrics)).toContain('coordination_errors_total{reason="CURSOR_EXPIRED"} 2');
  });

  test("follows what opens and closes", async () => {
    const metrics = collector();
    metrics.subscriptionOpened();
    metrics.subscriptionOpened();
    metrics.subscriptionClosed();
    metrics.connectionOpened();
    metrics.connectionClosed();
    metrics.streamOpened();
    metrics.streamOpened();
    metrics.streamClosed();
    metrics.setCoordinations(12);
    metrics.setResidentCoordinations(7);
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        "coordination_active_subscriptions 1",
        "coordination_connections 0",
        "coordination_open_streams 1",
        "coordination_coordinations 12",
        "coordination_resident_coordinations 7",
      ]),
    );
  });

  test("does not let a client make a method label", async () => {
    const metrics = collector();
    metrics.callEnded("coordination.v1.SignalService/SendSignal", "ok");
    metrics.callEnded("hostile.Service/1", "unimplemented");
    metrics.callEnded("hostile.Service/2", "unimplemented");
    expect((await linesOf(metrics)).filter((line) => line.startsWith("coordination_calls_total"))).toEqual([
      'coordination_calls_total{method="coordination.v1.SignalService/SendSignal",code="ok"} 1',
      'coordination_calls_total{method="unknown",code="unimplemented"} 2',
    ]);
  });

  test("exports the metrics of the process under their usual names", async () => {
    const { body, contentType } = await new MetricsCollector().render();
    expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(body).toContain("process_cpu_seconds_total");
    expect(body).toContain("nodejs_eventloop_lag_seconds");
  });

  test("keeps collectors apart", async () => {
    const first = collector();
    first.error("INTERNAL");
    expect(await linesOf(collector())).not.toContain('coordination_errors_total{reason="INTERNAL"} 1');
  });

  test("describes every metric once, in text that Prometheus accepts", async () => {
    const lines = await linesOf(collector());
    const described = lines.filter((line) => line.startsWith("# HELP"));
    expect(new Set(described).size).toBe(described.length);
    for (const line of lines) {
      expect(line).toMatch(
        /^$|^# (HELP|TYPE) [a-z_]+ .+$|^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+-]+$/,
      );
    }
  });
});
