/*
 * Opens stores in which a bit has flipped, one after another, as its parent names them, and tells what came of each. A process
 * of its own, because a damaged file may crash it.
 */
import { cp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { CoordinatorUnderTest } from "../../support/coordinator-under-test.js";
import { type Contents, differenceBetween, readContents } from "./contents.js";
import type { BitFlip, FlipVerdict, InspectorTask } from "./flip.js";
import { openVariedStore, sendAll } from "./varied-store.js";

/** Coordinations that still take signals. */
const openCoordinations = ["plain", "rolled-back"] as const;

process.on("message", (task: InspectorTask) => {
  void inspect(task).then((verdict) => process.send?.(verdict));
});

async function inspect({ original, place, flip, expected, ignoresDamage }: InspectorTask): Promise<FlipVerdict> {
  await rm(place, { recursive: true, force: true });
  await cp(original, place, { recursive: true });
  await applyFlip(place, flip);
  try {
    const wrong = (await look(place, expected, ignoresDamage)) ?? (await goOn(place, expected));
    return wrong === undefined ? { outcome: "harmless" } : { outcome: "wrong", detail: wrong };
  } catch (error) {
    return { outcome: "detected", detail: String(error) };
  }
}

async function applyFlip(place: string, { file, offset, bit }: BitFlip): Promise<void> {
  const handle = await open(join(place, file), "r+");
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ (1 << bit);
  await handle.write(byte, 0, 1, offset);
  await handle.close();
}

/** Reads everything. Throws what was detected. */
async function look(place: string, expected: Contents, ignoresDamage: boolean): Promise<string | undefined> {
  const subject = await openVariedStore(place);
  if (ignoresDamage) takeDamageForAbsence(subject);
  const found = await readContents(subject);
  await subject.dispose();
  throwDetected(subject);
  return differenceBetween(expected, found);
}

/** Sends what was sent before, and new signals, and reads everything again: what is wrong with free pages shows only now. */
async function goOn(place: string, expected: Contents): Promise<string | undefined> {
  const writing = await openVariedStore(place);
  for (const coordinationId of openCoordinations) await sendAll(writing, coordinationId);
  await writing.fill(200, { coordinationId: "plain" });
  await writing.dispose();
  throwDetected(writing);
  const reading = await openVariedStore(place);
  const found = await readContents(reading);
  await reading.dispose();
  throwDetected(reading);
  return differenceBetween(expected, found, "signals");
}

function throwDetected({ fatals }: CoordinatorUnderTest): void {
  if (fatals.length > 0) throw fatals[0];
}

/** The bug that proves the check: a row that cannot be read is taken for none. */
function takeDamageForAbsence(subject: CoordinatorUnderTest): void {
  const { store } = subject;
  const findRequests = store.findRequests.bind(store);
  const readJournal = store.readJournal.bind(store);
  store.readJournal = (range) => readJournal(range).catch(() => []);
  store.findRequests = async (coordinationId, epoch, keys) =>
    Promise.all(
      keys.map((key) =>
        findRequests(coordinationId, epoch, [key]).then(
          ([found]) => found,
          () => undefined,
        ),
      ),
    );
}
