import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderProfile } from "./profile-report.js";

const extension = ".cpuprofile";

/** Sums up the profiles in a directory in a file beside them; answers its path. */
export function writeProfileReport(directory: string): string {
  const names = readdirSync(directory).filter((name) => name.endsWith(extension));
  const sections = names.sort().map((name) => {
    const profile = JSON.parse(readFileSync(join(directory, name), "utf8"));
    return renderProfile(name.slice(0, -extension.length), profile);
  });
  const path = join(directory, "profiles.md");
  writeFileSync(path, `# Profiles\n\n${sections.join("\n")}`);
  return path;
}
