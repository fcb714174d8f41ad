import { get } from "node:http";
import { text } from "node:stream/consumers";
import { type PrometheusText, parsePrometheusText } from "./prometheus-text.js";

/** Reads and parses a server's `/metrics`, over a connection of its own that ends with the answer. */
export async function scrapeMetrics(url: string): Promise<PrometheusText> {
  const { status, body } = await getPage(`${url}/metrics`);
  if (status !== 200) throw new Error(`/metrics answers ${status}: ${body}`);
  return parsePrometheusText(body);
}

/** What of a server is in use by its clients; all zero when the last one has gone. */
export interface OpenResources {
  readonly subscriptions: number;
  readonly calls: number;
  readonly connections: number;
}

/** Reads what is in use, without the call and the connection that read it. */
export async function openResources(url: string): Promise<OpenResources> {
  const metrics = await scrapeMetrics(url);
  return {
    subscriptions: metrics.value("coordination_active_subscriptions"),
    calls: metrics.value("coordination_open_streams") - 1,
    connections: metrics.value("coordination_connections") - 1,
  };
}

function getPage(url: string): Promise<{ readonly status: number | undefined; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
    });
    request.once("error", reject);
  });
}
