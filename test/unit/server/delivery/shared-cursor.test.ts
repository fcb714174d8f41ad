import { describe, expect, test } from "@jest/globals";
import { SharedCursor } from "../../../../server/src/delivery/shared-cursor.js";
import { decodeCursor } from "../../../../server/src/model/cursor.js";

const [one, other] = ["0190163d-8694-739b-aea5-966c26f8ad91", "0190163d-8694-739b-aea5-966c26f8ad92"];

describe("SharedCursor", () => {
  test("is the cursor of the place that is asked for, whichever was asked for before", () => {
    const cursor = new SharedCursor();
    const places = [
      { epoch: "", generation: 0, sequence: 0n },
      { epoch: one, generation: 0, sequence: 0n },
      { epoch: one, generation: 0, sequence: 7n },
      { epoch: one, generation: 0, sequence: 7n },
      { epoch: one, generation: 1, sequence: 7n },
      { epoch: other, generation: 1, sequence: 7n },
    ];
    for (const place of places) {
      expect(decodeCursor(cursor.at(place.epoch, place.generation, place.sequence))).toEqual(place);
    }
  });
});
