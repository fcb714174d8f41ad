import { describe, expect, test } from "@jest/globals";
import { helpOf, parseFaultArguments } from "../../../faults/harness/fault-arguments.js";

const command = {
  name: "flood",
  about: "Floods the house.",
  settings: { litres: { about: "litres poured", short: 10, deep: 2_000 } },
  stores: ["cellar", "attic"],
  plantedBugs: ["open window"],
};

const parse = (...args: string[]) => parseFaultArguments(command, args);

describe("parseFaultArguments", () => {
  test("fills in the defaults of both sizes", () => {
    expect(parse("--seed", "7")).toMatchObject({ seed: 7, isDeep: false, sizes: { litres: 10 }, store: "cellar" });
    expect(parse("--deep", "--seed", "7")).toMatchObject({ isDeep: true, sizes: { litres: 2_000 } });
  });

  test("takes what is given over the defaults", () => {
    const parsed = parse("--litres", "3", "--deep", "--plant", "open window", "--store", "attic");
    expect(parsed).toMatchObject({ sizes: { litres: 3 }, store: "attic", plantedBug: "open window" });
  });

  test("chooses a seed where none is given", () => {
    const parsed = parse();
    expect(parsed === "help" ? parsed : Number.isSafeInteger(parsed.seed)).toBe(true);
  });

  test.each([
    [["--liters", "3"], 'argument "--liters" is not one of --litres, --seed, --plant, --store, --deep, --help'],
    [["3"], 'argument "3" is not one of'],
    [["--litres"], "flag --litres lacks its value"],
    [["--litres", "few"], '--litres is "few", it must be a whole number from 1 to 1000000000'],
    [["--litres", "0"], '--litres is "0"'],
    [["--seed", "4294967296"], '--seed is "4294967296", it must be a whole number from 0 to 4294967295'],
    [["--plant", "door"], 'bug "door" is not one of open window'],
    [["--store", "garden"], 'store "garden" is not one of cellar, attic'],
  ])("refuses %j", (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });

  test("gives help whatever else is asked", () => {
    expect(parse("--litres", "few", "--help")).toBe("help");
  });
});

describe("helpOf", () => {
  test("names every flag with its defaults", () => {
    const help = helpOf(command);
    expect(help).toContain("Usage: npm run test:faults -- flood [flags]");
    expect(help).toMatch(/--litres N +litres poured \(default 10; 2,000 with --deep\)/);
    for (const flag of ["--seed N", "--deep", "--store KIND", "--plant BUG", "--help"]) expect(help).toContain(flag);
  });
});
