import { pathToFileURL } from "node:url";
import type { Artifact, ArtifactFolder } from "../artifacts/artifact-folder.js";
import type { Validator } from "../generation/validator-source.js";

/**
 * Loads a generated validator, after checking that the file is the announced one.
 * @throws Error when it is missing, was changed, cannot be loaded, or exports no validator.
 */
export async function loadValidator(folder: ArtifactFolder, artifact: Artifact): Promise<Validator> {
  await folder.read(artifact);
  const url = pathToFileURL(folder.pathOf(artifact.path));
  // The loader keeps modules by URL for good; one that was generated again has to be loaded again.
  url.searchParams.set("sha256", artifact.sha256);
  const loaded: { readonly validate?: unknown } = await import(url.href);
  if (typeof loaded.validate !== "function") throw new Error(`${artifact.path} exports no validate function`);
  return loaded.validate as Validator;
}
