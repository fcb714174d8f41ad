/** What a fault can do to a log that it must not. */
export const violations = ["lost", "duplicated", "reordered", "shown before durable", "otherwise wrong"] as const;
export type Violation = (typeof violations)[number];

// The first findings tell what is wrong; thousands like them only hide the seed.
const maxFindings = 20;

/** Adds up what a fault program did and found. */
export class FaultReport {
  /** How often the fault was brought about. */
  cycles = 0;
  signalsChecked = 0;
  readonly #counts = new Map<Violation, number>(violations.map((violation) => [violation, 0]));
  readonly #findings: string[] = [];
  readonly #figures: string[] = [];
  readonly #skipped: string[] = [];

  /** Notes something that must not be, with what identifies it. */
  violation(kind: Violation, finding: string): void {
    this.#counts.set(kind, this.count(kind) + 1);
    if (this.#findings.length < maxFindings) this.#findings.push(`${kind}: ${finding}`);
  }

  /** Notes a figure worth reading, for example "longest restart 812 ms". */
  figure(text: string): void {
    this.#figures.push(text);
  }

  /** Notes a part that could not be run here, and why. */
  skip(reason: string): void {
    this.#skipped.push(reason);
  }

  count(kind: Violation): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** How many violations of any kind. */
  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  get findings(): readonly string[] {
    return this.#findings;
  }

  get skipped(): readonly string[] {
    return this.#skipped;
  }

  /** How far a run has come, in a line. */
  progress(): string {
    const found = this.total === 0 ? "nothing found" : `${this.total} found, the first: ${this.#findings[0]}`;
    return `so far: cycles ${this.cycles.toLocaleString("en")}, ${found}`;
  }

  /** The report as lines for people; the third is the verdict. */
  lines(): readonly string[] {
    const counts = violations.map((violation) => `${this.count(violation)} ${violation}`);
    return [
      `  cycles ${this.cycles.toLocaleString("en")}, signals checked ${this.signalsChecked.toLocaleString("en")}`,
      `  ${counts.join(", ")}`,
      ...this.#figures.map((figure) => `  ${figure}`),
      ...this.#skipped.map((reason) => `  skipped: ${reason}`),
      ...this.#findings.map((finding) => `  ! ${finding}`),
    ];
  }
}
