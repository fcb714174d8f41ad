import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { describeSignalStore } from "./signal-store-contract.js";

describeSignalStore("memory", async () => ({
  open: async () => new MemorySignalStore(),
  reopen: undefined,
  dispose: async () => undefined,
}));
