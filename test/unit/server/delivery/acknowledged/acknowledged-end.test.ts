import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "@jest/globals";
import { CoordinatorUnderTest } from "../../../../support/coordinator-under-test.js";
import { ManualClock } from "../../../../support/manual-clock.js";
import { NamedConsumer } from "../../../../support/named-consumer.js";

const minute = 60_000;

describe("a named subscription with before_time", () => {
  test("ends with the acknowledgement of its last signal once the time has passed", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await subject.fill(2);
    const filter = { beforeTime: timestampFromMs(clock.nowMs() + minute) };
    const consumer = await new NamedConsumer(subject.coordinator, { filter }).join();
    await consumer.untilHanded(2);
    const ended = consumer.untilEnd();
    clock.advance(2 * minute);
    await consumer.acknowledge(consumer.handed);
    await expect(ended).resolves.toBeUndefined();
    await consumer.leave();
  });
});
