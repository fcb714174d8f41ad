/** The four agents of the workflow: the names of their programs, and their ids in the demo. */
export const agentNames = ["contract-parser", "model-generator", "validator-generator", "test-runner"] as const;

export type AgentName = (typeof agentNames)[number];

/** Whether a text names an agent. */
export function isAgentName(text: string): text is AgentName {
  return agentNames.some((name) => name === text);
}
