import { describe, expect, test } from "@jest/globals";
import { sealHeader, unsealHeader } from "../../../../../server/src/store/lmdb/header-row.js";
import { headerKey } from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { headerOf } from "../../../../support/log-entries.js";

const key = headerKey(3);
const counts = [0, 1, 2, 70_000];

describe("the row of a header", () => {
  test.each([
    ["that is new", headerOf()],
    [
      "that is full",
      headerOf({
        coordinationId: "a:b",
        revision: 2n ** 63n,
        commits: 5n,
        generation: 2,
        headSequence: 2n ** 62n,
        oldestSequence: 7n,
        trimmedThroughSequence: 6n,
        removedRanges: [
          { afterSequence: 8n, throughSequence: 9n, generation: 1 },
          { afterSequence: 20n, throughSequence: 90n, generation: 2 },
        ],
        lastSignalTimeMs: 1_700_000_000_123.5,
        closeTimeMs: 0,
        closeReason: "fertig – ☂",
        sentByType: [0, 1, 2, 3, 2 ** 40],
        endedWaits: 12,
      }),
    ],
  ])("holds one %s", (_, header) => {
    const sealed = sealHeader(key, { header, ordinal: 3, counts });
    expect(unsealHeader(3, key, sealed)).toEqual({ header, ordinal: 3, counts });
  });

  test("is not believed when a bit of it or of its place is another one", () => {
    const sealed = sealHeader(key, { header: headerOf(), ordinal: 3, counts });
    for (const at of [0, 4, sealed.length - 1]) {
      const damaged = Buffer.from(sealed);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      expect(() => unsealHeader(3, key, damaged)).toThrow("its checksum does not fit");
    }
    expect(() => unsealHeader(4, headerKey(4), sealed)).toThrow("its checksum does not fit");
  });
});
