/** Certificates for tests, made anew with the openssl of the machine. */
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** An authority's certificate file, and a server's certificate that it signed. */
export interface TestCertificates {
  /** Path of the authority's certificate. */
  readonly authority: string;
  /** As PEM. */
  readonly cert: string;
  readonly key: string;
}

/** Whether certificates can be made here. */
export function canMakeCertificates(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "pipe" });
    return true;
  } catch (error) {
    console.warn(`tests with certificates are skipped: no openssl (${String(error)})`);
    return false;
  }
}

/** Makes an authority of its own and a certificate for one host name, valid for a day. */
export async function makeCertificates(directory: string, hostName: string): Promise<TestCertificates> {
  const file = (name: string): string => join(directory, name);
  const openssl = (...args: readonly string[]): void => {
    execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "1",
    "-subj",
    "/CN=test authority",
  );
  openssl("req", ...newKey, "-keyout", "server.key", "-out", "server.csr", "-subj", `/CN=${hostName}`);
  await writeFile(file("names"), `subjectAltName=DNS:${hostName}\n`);
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "names"];
  openssl("x509", "-req", "-in", "server.csr", ...signing, "-out", "server.pem");
  const [cert, key] = await Promise.all([readFile(file("server.pem"), "utf8"), readFile(file("server.key"), "utf8")]);
  return { authority: file("ca.pem"), cert, key };
}
