import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code } from "@connectrpc/connect";
import {
  type BatchSendSignalsResultSchema,
  StreamSignalsResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { batchAnswerFrom } from "../../../../client-sdk/src/sending/batch-results.js";
import { BatchAnswerDecoder } from "../../../../client-sdk/src/transport/batch-answer-decoder.js";
import { contractStatus } from "../support/contract-errors.js";
import { stored } from "../support/scripted-log.js";

type Result = MessageInitShape<typeof BatchSendSignalsResultSchema>;

const refused: Result = {
  result: { case: "error", value: contractStatus({ code: Code.NotFound, reason: "AGENT_NOT_FOUND" }) },
};

function encode(results: readonly Result[]): Uint8Array {
  return toBinary(
    StreamSignalsResponseSchema,
    create(StreamSignalsResponseSchema, { batch: { results: [...results] } }),
  );
}

function byLibrary(bytes: Uint8Array) {
  return batchAnswerFrom(fromBinary(StreamSignalsResponseSchema, bytes).batch?.results ?? []);
}

describe("BatchAnswerDecoder", () => {
  test.each<[string, readonly Result[]]>([
    ["stored signals", [stored(1), stored(2), stored(300)]],
    [
      "signals that were there",
      [{ result: { ...stored(1).result, value: { ...stored(1).result.value, deduplicated: true } } }],
    ],
    ["refused ones among others", [stored(1), refused, stored(2)]],
    ["no signals", []],
  ])("reads the answer to %s as the library does", (_, results) => {
    const bytes = encode(results);
    const decoder = new BatchAnswerDecoder();
    expect(decoder.answer(bytes)).toEqual(byLibrary(bytes));
    // A second one finds what the first one has left.
    expect(decoder.answer(bytes)).toEqual(byLibrary(bytes));
  });

  test.each<[string, readonly Result[]]>([
    ["a result of no kind", [{}]],
    ["an answer without a time", [{ result: { case: "response", value: { signalId: "a" } } }]],
  ])("leaves %s to the library", (_, results) => {
    expect(new BatchAnswerDecoder().answer(encode(results))).toBeUndefined();
  });

  test("leaves fields that are newer than this package to the library", () => {
    const news = new BinaryWriter().tag(99, WireType.LengthDelimited).string("news").finish();
    const decoder = new BatchAnswerDecoder();
    expect(decoder.answer(Buffer.concat([encode([stored(1)]), news]))).toBeUndefined();
    expect(decoder.answer(new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(news).finish())).toBeUndefined();
    expect(decoder.answer(new Uint8Array())).toBeUndefined();
  });

  test("takes no answer that is cut off for a whole one", () => {
    const bytes = encode([stored(1), stored(2)]);
    for (let length = 0; length < bytes.length; length += 1) {
      let answer: unknown;
      try {
        answer = new BatchAnswerDecoder().answer(bytes.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
      expect(answer).toBeUndefined();
    }
  });
});
