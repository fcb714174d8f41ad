import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { CoordinationError } from "../../model/coordination-error.js";

/*
 * What LMDB itself does not check of its file. It begins with two pages that say where everything is; a commit writes one of
 * them, in turn, as its last act, and the one with the greater transaction counts. LMDB takes them as they are: a file that is
 * not its own crashes it, and a bit that flips there makes it serve another log, an older one or none.
 *
 * Layout of such a page (LMDB's data version 2): a header of 24 bytes, whose flags are at 18; from there on the magic number,
 * the version, where the map is and how large, what is free (it begins with the page size), the root, the last page, the
 * transaction and what identifies the boot.
 */

/** One of the two pages that a data file begins with. */
export interface MetaPage {
  /** Number of the commit that wrote it. */
  readonly transaction: bigint;
  /** CRC-32 of all it says. */
  readonly checksum: number;
}

const metaPages = 2;
const metaFlag = 0x08;
const flagsOffset = 18;
const magicOffset = 24;
const magic = 0xbeefc0de;
const versionOffset = 28;
const dataVersion = 2;
const mapSizeOffset = 40;
const pageSizeOffset = 48;
const treeFlagsOffset = 52;
/** Integer keys in the tree of what is free, and a file that is no directory. */
const treeFlags = 0x4008;
const freeRootOffset = 88;
const mainRootOffset = 136;
const noPage = 0xffff_ffff_ffff_ffffn;
const lastPageOffset = 144;
const transactionOffset = 152;
const metaEnd = 168;
const leastPageSize = 512;
const greatestPageSize = 65_536;
const ownPageSize = 4_096;

/** The bytes of a data file in which nothing is: LMDB crashes where it cannot write them itself. */
export function emptyDataFile(mapBytes: number): Buffer {
  const pages = Array.from({ length: metaPages }, (_, number) => {
    const page = Buffer.alloc(ownPageSize);
    page.writeBigUInt64LE(BigInt(number), 0);
    page.writeUInt16LE(metaFlag, flagsOffset);
    page.writeUInt32LE(magic, magicOffset);
    page.writeUInt32LE(dataVersion, versionOffset);
    page.writeBigUInt64LE(BigInt(mapBytes), mapSizeOffset);
    page.writeUInt32LE(ownPageSize, pageSizeOffset);
    page.writeUInt16LE(treeFlags, treeFlagsOffset);
    page.writeBigUInt64LE(noPage, freeRootOffset);
    page.writeBigUInt64LE(noPage, mainRootOffset);
    page.writeBigUInt64LE(BigInt(metaPages - 1), lastPageOffset);
    return page;
  });
  return Buffer.concat(pages);
}

/** Throws an Error when there is a file and it is not a store. Another process may be writing to it. */
export function checkDataFile(path: string): void {
  if (existsSync(path)) new DataFile(path).close();
}

/** The beginning of a data file, open to be read again after each commit. */
export class DataFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #pageSize: number;
  readonly #page = Buffer.alloc(metaEnd);

  /** Throws an Error when the file is not a store. Another process may be writing to it. */
  constructor(path: string) {
    this.path = path;
    this.#descriptor = openSync(path, "r");
    try {
      if (!fstatSync(this.#descriptor).isFile()) throw notAStore(path, "it is no file");
      this.#pageSize = pageSizeFrom(this.#read(0), path);
      for (const position of [0, this.#pageSize]) this.#checkRoots(position);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Reads the meta page that a commit has written; undefined where it is another commit's. Nobody may be writing. */
  readMeta(transaction: bigint): MetaPage | undefined {
    const page = metaPageFrom(this.#read(transaction % 2n === 0n ? 0 : this.#pageSize), this.path);
    return page.transaction === transaction ? page : undefined;
  }

  /** Reads the meta page of the last commit; nobody may be writing. Throws STORE_CORRUPT when the two meta pages do not belong together. */
  readLatestMeta(): MetaPage {
    const [even, odd] = [0, this.#pageSize].map((position) => metaPageFrom(this.#read(position), this.path));
    if (even === undefined || odd === undefined) throw notAStore(this.path, "it has no meta pages");
    return latestOf(even, odd);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** What a meta page leads to was written before it: a file that ends before it was cut off, and would crash LMDB. */
  #checkRoots(position: number): void {
    const page = this.#read(position);
    metaPageFrom(page, this.path);
    const pages = fstatSync(this.#descriptor).size / this.#pageSize;
    for (const offset of [freeRootOffset, mainRootOffset]) {
      const root = page.readBigUInt64LE(offset);
      if (root !== noPage && Number(root) + 1 > pages) throw notAStore(this.path, "it is too short");
    }
  }

  /** The page is good until the next one is read. */
  #read(position: number): Buffer {
    const page = this.#page;
    if (readSync(this.#descriptor, page, 0, metaEnd, position) === metaEnd) return page;
    throw notAStore(this.path, "it is too short");
  }
}

/** The page of the last of an unbroken row of commits: they alternate between the pages, so that the parity is the place. */
function latestOf(even: MetaPage, odd: MetaPage): MetaPage {
  const latest = even.transaction >= odd.transaction ? even : odd;
  const earlier = even.transaction >= odd.transaction ? odd : even;
  // A file that was made and never committed to has twice 0.
  const isNew = latest.transaction === 0n;
  const isInTurn = even.transaction % 2n === 0n && latest.transaction === earlier.transaction + 1n;
  if (isNew || isInTurn) return latest;
  throw new CoordinationError(
    "STORE_CORRUPT",
    `the store's file is damaged: its last commits are ${even.transaction} and ${odd.transaction}, which do not follow each other`,
  );
}

function pageSizeFrom(page: Buffer, path: string): number {
  const size = page.readUInt32LE(pageSizeOffset);
  const isPowerOfTwo = (size & (size - 1)) === 0;
  if (size >= leastPageSize && size <= greatestPageSize && isPowerOfTwo) return size;
  throw notAStore(path, "its page size is none");
}

function metaPageFrom(page: Buffer, path: string): MetaPage {
  const isMeta = (page.readUInt16LE(flagsOffset) & metaFlag) !== 0;
  if (!isMeta || page.readUInt32LE(magicOffset) !== magic) throw notAStore(path, "it does not begin as one");
  const version = page.readUInt16LE(versionOffset);
  if (version !== dataVersion) throw notAStore(path, `its format is ${version}, known is ${dataVersion}`);
  return { transaction: page.readBigUInt64LE(transactionOffset), checksum: crc32(page.subarray(magicOffset)) };
}

function notAStore(path: string, why: string): Error {
  return new Error(`${path} is not a store, or is damaged: ${why}`);
}
